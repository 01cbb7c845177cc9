//! Conversion of fragcache errors to Tera errors, and display of Tera errors against
//! the source that the author wrote. The places in Tera's errors refer to the rewritten
//! source: the lines are the same there, but the columns and the quoted line differ.

use std::sync::Arc;

use fragcache::syntax::{self, Syntax};
use tera::Tera;

use crate::install::Installation;
use crate::loaded::Loaded;

/// Wraps a fragcache error in a Tera error, as its source.
pub(crate) fn into_tera(error: impl Into<fragcache::Error>) -> tera::Error {
    let error = error.into();
    tera::Error::chain(error.to_string(), error)
}

/// Returns the text of an error of this Tera, shown against the author's source instead of the
/// rewritten one.
///
/// Use it for errors of Tera's own render methods; the errors of this crate's functions already
/// show the author's source. Parts of the text that do not concern a cache block are unchanged.
///
/// ```
/// use fragcache::FragmentCache;
/// use tera::{Context, Tera};
///
/// let mut tera = Tera::new();
/// fragcache_tera::add_to_tera(&mut tera, FragmentCache::in_memory())?;
/// fragcache_tera::add_raw_template(&mut tera, "a", "{% cache 60 %}{{ oops }}{% endcache %}")?;
/// let error = fragcache_tera::scope(|| tera.render("a", &Context::new())).unwrap_err();
///
/// let shown = fragcache_tera::explain(&tera, &error);
/// assert!(shown.contains("--> a:1:18"));
/// assert!(shown.contains("1 | {% cache 60 %}{{ oops }}{% endcache %}"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn explain(tera: &Tera, error: &tera::Error) -> String {
    let text = error.to_string();
    match Installation::of(tera) {
        Ok((installation, syntax)) => translate(
            &text,
            &Authors { syntax: &syntax, loaded: &installation.loaded, string: None },
        ),
        Err(_) => text,
    }
}

/// Prefix of all names that the rewriter generates.
const OURS: &str = "__fragcache";

/// Tera's name for a template rendered from a string.
const STRING: &str = "__tera_one_off";

/// The authors' sources, by template name.
#[derive(Clone, Copy)]
pub(crate) struct Authors<'a> {
    pub(crate) syntax: &'a Syntax,
    pub(crate) loaded: &'a Loaded,
    /// The template that is rendered from a string: the name it was rewritten under,
    /// and its source.
    pub(crate) string: Option<(&'a str, &'a str)>,
}

impl<'a> Authors<'a> {
    /// Replaces a Tera error that shows rewritten source; returns any other error
    /// unchanged. The original does not become the source of the new one, because
    /// its `Debug` shows the whole rewritten source.
    pub(crate) fn words(self, cause: tera::Error) -> tera::Error {
        match format!("{cause:?}").contains(OURS) {
            true => tera::Error::message(translate(&cause.to_string(), &self)),
            false => cause,
        }
    }

    /// The name that a template was rewritten under, and its source.
    fn source_of<'n>(&self, name: &'n str) -> Option<(&'n str, Arc<str>)>
    where
        'a: 'n,
    {
        match self.string.filter(|_| name == STRING) {
            Some((name, source)) => Some((name, source.into())),
            None => Some((name, self.loaded.author_of(name)?)),
        }
    }
}

/// Converts an error of a render that this crate made, to show the authors' sources.
pub(crate) fn of_render(tera: &Tera, cause: tera::Error) -> tera::Error {
    let found = Installation::of(tera).ok();
    let (loaded, syntax) = match &found {
        Some((installation, syntax)) => (&installation.loaded, syntax),
        None => (&Loaded::default(), &Syntax::tera()),
    };
    Authors { syntax, loaded, string: None }.words(cause)
}

/// Replaces each place and quoted line in Tera's reports. A report looks like
///
/// ```text
/// error: message
///  --> name:line:column
///   |
/// 3 | the line
///   |     ^^^^
/// ```
///
/// and notes below it begin `note: label name:line:column`.
///
/// If the author's source is not known, the quoted rewritten line is removed and the place stays.
fn translate(text: &str, authors: &Authors<'_>) -> String {
    let lines: Vec<&str> = text.split('\n').collect();
    let mut out: Vec<String> = Vec::with_capacity(lines.len());
    let mut at = 0;
    while at < lines.len() {
        let rest = &lines[at..];
        let report = Report::read(rest);
        let translated = report.as_ref().and_then(|report| report.translated(authors));
        match (translated, report) {
            (Some(lines), _) => {
                out.extend(lines);
                at += REPORT_LINES;
            }
            (None, Some(Report { lead, name, line, quoted, .. })) if quoted.contains(OURS) => {
                out.push(format!("{lead}{name}:{line}"));
                at += REPORT_LINES;
            }
            _ => {
                out.push(rest[0].to_owned());
                at += 1;
            }
        }
    }
    out.join("\n")
}

/// The place, an empty line, the quoted line, and its underline.
const REPORT_LINES: usize = 4;

/// One place in Tera's text, with the lines quoted below it.
struct Report<'t> {
    /// The text before the template's name.
    lead: &'t str,
    name: &'t str,
    line: usize,
    column: usize,
    quoted: &'t str,
    underlined: usize,
}

impl<'t> Report<'t> {
    fn read(lines: &[&'t str]) -> Option<Self> {
        let [place, bar, quote, underline, ..] = lines else { return None };
        let (lead, place) = match place.split_once("--> ") {
            Some((padding, place)) if padding.trim().is_empty() => {
                (&lines[0][..padding.len() + 4], place)
            }
            _ => {
                let place = place.strip_prefix("note: called from ")?;
                ("note: called from ", place)
            }
        };
        let mut fields = place.rsplitn(3, ':');
        let column = fields.next()?.parse().ok()?;
        let line: usize = fields.next()?.parse().ok()?;
        let name = fields.next()?;
        let quoted = quote.strip_prefix(&format!("{line} | "))?;
        let underlined = underline.bytes().filter(|byte| *byte == b'^').count();
        (bar.trim() == "|").then_some(Self { lead, name, line, column, quoted, underlined })
    }

    /// The same report against the author's source, if that differs.
    fn translated(&self, authors: &Authors<'_>) -> Option<Vec<String>> {
        let (name, source) = authors.source_of(self.name)?;
        let page = syntax::rewrite_with(name, &source, authors.syntax, authors.loaded).ok()?;
        let lowered = page.source();
        let start = line_start(lowered, self.line)?;
        let line = lowered[start..].split('\n').next()?;
        if line != self.quoted {
            return None;
        }
        let skip = |chars: usize| line.char_indices().nth(chars).map_or(line.len(), |(at, _)| at);
        let begin = start + skip(self.column.checked_sub(1)?);
        let end = start + skip(self.column - 1 + self.underlined);
        let range = page.map().original_range(begin..end);

        let line_at = source[..range.start].rfind('\n').map_or(0, |newline| newline + 1);
        let number = source[..line_at].matches('\n').count() + 1;
        let line_end = source[line_at..].find('\n').map_or(source.len(), |len| line_at + len);
        let before = source.get(line_at..range.start)?;
        let marked = source.get(range.start..range.end.min(line_end)).unwrap_or_default();
        let indent: String = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let padding = " ".repeat(number.to_string().len());
        Some(vec![
            format!("{}{}:{number}:{}", self.lead, self.name, before.chars().count() + 1),
            format!("{padding} |"),
            format!("{number} | {}", &source[line_at..line_end]),
            format!("{padding} | {indent}{}", "^".repeat(marked.chars().count().max(1))),
        ])
    }
}

/// The offset of line `number`, counted from 1.
fn line_start(source: &str, number: usize) -> Option<usize> {
    match number.checked_sub(2) {
        None => (number == 1).then_some(0),
        Some(skip) => source.match_indices('\n').nth(skip).map(|(at, _)| at + 1),
    }
}
