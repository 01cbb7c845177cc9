//! The reference: the same source with a native `if true` in place of the cache
//! tags, with their dashes.

use fragcache::syntax::{CacheBlock, Syntax};

/// `source` without cache blocks. `blocks` contains their places; the replacements
/// are derived here from the author's bytes.
pub(crate) fn native(source: &str, blocks: &[CacheBlock], syntax: &Syntax) -> String {
    let mut edits: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    for block in blocks {
        let span = block.span();
        let opening = opening_tag(source, span.start, syntax);
        edits.push((opening.clone(), stand_in(&source[opening], "cache", "if true", syntax)));
        let closing = closing_tag(source, span.end, syntax);
        edits.push((closing.clone(), stand_in(&source[closing], "endcache", "endif", syntax)));
    }
    edits.sort_by_key(|(range, _)| range.start);
    let mut out = String::new();
    let mut at = 0;
    for (range, text) in edits {
        out.push_str(&source[at..range.start]);
        out.push_str(&text);
        at = range.end;
    }
    out + &source[at..]
}

fn is_line(tag: &str, syntax: &Syntax) -> bool {
    syntax.line_statement_prefix().is_some_and(|prefix| tag.starts_with(prefix))
}

fn opening_tag(source: &str, start: usize, syntax: &Syntax) -> std::ops::Range<usize> {
    let rest = &source[start..];
    if is_line(rest, syntax) {
        return start..start + rest.find(['\r', '\n']).unwrap_or(rest.len());
    }
    let end = syntax.block_delimiters().1;
    let inner = syntax.block_delimiters().0.len();
    let (mut quote, mut depth, mut escaped) = (None, 0, false);
    for (at, c) in rest.char_indices().skip_while(|(at, _)| *at < inner) {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None if depth == 0 && rest[at..].starts_with(end) => {
                return start..start + at + end.len();
            }
            None if "([{".contains(c) => depth += 1,
            None if ")]}".contains(c) => depth -= 1,
            None => {}
        }
    }
    panic!("no end of the tag at {start} in {source:?}");
}

fn closing_tag(source: &str, end: usize, syntax: &Syntax) -> std::ops::Range<usize> {
    let line = source[..end].rfind('\n').map_or(0, |at| at + 1);
    let indent = source[line..end].len() - source[line..end].trim_start().len();
    if is_line(&source[line + indent..end], syntax) {
        return line + indent..end;
    }
    source[..end].rfind(syntax.block_delimiters().0).unwrap()..end
}

/// The author's tag with `statement` in place of `word` and the rest.
fn stand_in(tag: &str, word: &str, statement: &str, syntax: &Syntax) -> String {
    if is_line(tag, syntax) {
        return format!("{} {statement}", syntax.line_statement_prefix().unwrap());
    }
    let (start, end) = syntax.block_delimiters();
    let inner = tag.strip_prefix(start).unwrap().strip_suffix(end).unwrap();
    let lead = inner.chars().next().filter(|c| "-+".contains(*c));
    let trail = inner.chars().last().filter(|c| "-+".contains(*c));
    assert!(inner.contains(word), "{tag:?}");
    let mark = |c: Option<char>| c.map(String::from).unwrap_or_default();
    format!("{start}{} {statement} {}{end}", mark(lead), mark(trail))
}
