//! HTML comments around each fragment that show its outcome, for looking at a page in development.
//! Annotated bodies are separate variants, so they are never served once annotations are off.

use crate::clock::Moment;
use crate::entry::{Body, Entry, OutputMode};
use crate::events::EventKind;
use crate::hash::KeyHasher;
use crate::key::namespaces;
use crate::label::Label;

use super::stack::Frame;
use crate::handle::Handle;

/// A stored body as an annotated page shows it.
pub(super) fn served(hasher: &KeyHasher, encoded: &[u8], entry: &Entry, now: Moment) -> Body {
    if entry.source.mode() != OutputMode::HTML.annotated() {
        return entry.body.clone();
    }
    let state = if entry.expires == Moment::NEVER {
        "hit, never expires".to_owned()
    } else if entry.expires > now {
        format!("hit, expires in {} s", entry.expires.since(now).as_secs())
    } else {
        format!("stale, expired {} s ago", now.since(entry.expires).as_secs())
    };
    around(hasher, encoded, &state, &entry.body)
}

/// A rendered body, whose frame records why it is rendered, as an annotated page shows it. `outcome`
/// follows that reason.
pub(super) fn rendered(frame: &Frame, outcome: &str, body: &Body) -> Body {
    let why = frame.why.as_deref().unwrap_or("rendered");
    let state = format!("{why}{outcome}");
    around(frame.cache.hasher(), &frame.key, &state, body)
}

/// The reason for rendering a body, in words; `None` if its page is not annotated.
pub(super) fn why(
    cache: &Handle,
    mode: OutputMode,
    events: &[EventKind],
    tag: Option<Label>,
) -> Option<Box<str>> {
    if mode != OutputMode::HTML.annotated() {
        return None;
    }
    let tag = tag.and_then(|label| cache.fresh().tag_of(label));
    let words = events.iter().filter_map(|event| match event {
        EventKind::Miss(reason) => Some(match &tag {
            Some(tag) => format!("miss: {} {tag}", reason.as_str()),
            None => format!("miss: {}", reason.as_str()),
        }),
        EventKind::Bypassed(reason) => Some(format!("bypassed: {}", reason.as_str())),
        EventKind::Refused(reason) => Some(format!("refused: {}", reason.as_str())),
        _ => None,
    });
    Some(words.collect::<Vec<_>>().join("; ").into())
}

fn around(hasher: &KeyHasher, encoded: &[u8], state: &str, body: &Body) -> Body {
    let path: String = namespaces(encoded).map(|(name, _)| format!("{name}/")).collect();
    let key = hasher.shown(encoded);
    let named = escaped(&format!("{path}{key}"));
    let (state, body) = (escaped(state), body.as_str());
    Body::from(format!("<!-- fragcache {named}: {state} -->{body}<!-- /fragcache {named} -->"))
}

/// Escapes text so that it can neither end a comment nor be read as markup inside one.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '-' if out.ends_with('-') => out.push_str("&#45;"),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fragment_key;

    #[test]
    fn no_key_and_no_tag_ends_the_comment() {
        for hostile in ["-->", "--!>", "->", ">", "<!--", "--", "---->", "\n", "\"'&"] {
            let key = fragment_key!("q", hostile);
            let text = around(&KeyHasher::random(), key.as_bytes(), hostile, &Body::from("BODY"))
                .as_str()
                .to_owned();
            let inner = text.strip_prefix("<!--").unwrap().strip_suffix("-->").unwrap();
            let (before, after) = inner.split_once("-->BODY<!--").unwrap();
            for part in [before, after] {
                assert!(!part.contains(['<', '>', '\n']) && !part.contains("--"), "{text}");
            }
        }
    }
}
