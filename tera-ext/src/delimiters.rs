//! Detects the delimiters of a Tera. Tera does not expose them, so a few bytes are rendered with
//! each set that this process has used. What a source means under them is in `fragcache::syntax`.

use std::sync::{Mutex, PoisonError};

use fragcache::syntax::Syntax;
use fragcache::{Error, ErrorKind};
use tera::{Context, Delimiters, Tera, TeraResult};

use crate::error::into_tera;

/// Delimiter sets, other than the default, that Teras of this process use. Oldest first.
static KNOWN: Mutex<Vec<Delimiters>> = Mutex::new(Vec::new());

/// Maximum number of remembered sets. In the worst case, a search for a cache tries all of them.
const MAX_KNOWN: usize = 64;

/// Sets the delimiters of a Tera and makes them known to fragcache. Use it in place of
/// [`Tera::set_delimiters`], before any template is added, and before or after
/// [`add_to_tera`](crate::add_to_tera).
///
/// If the Tera already has these delimiters, they only become known. This also works when the Tera
/// has templates.
///
/// # Errors
///
/// Returns an error for delimiters that Tera refuses, for a Tera that has templates under other
/// delimiters, and for the 65th set of delimiters in one process. Its
/// [`source`](std::error::Error::source) is a [`fragcache::Error`], whose own source is Tera's error
/// if Tera refused them. Nothing changes on an error.
///
/// ```
/// use fragcache::FragmentCache;
/// use tera::{Context, Delimiters, Tera};
///
/// let mut tera = Tera::new();
/// fragcache_tera::set_delimiters(&mut tera, Delimiters {
///     block_start: "<%".into(),
///     block_end: "%>".into(),
///     ..Delimiters::default()
/// })?;
/// fragcache_tera::add_to_tera(&mut tera, FragmentCache::in_memory())?;
/// fragcache_tera::add_raw_template(&mut tera, "a", "<% cache 60 %>Hello<% endcache %>")?;
/// assert_eq!(fragcache_tera::render(&tera, "a", &Context::new())?, "Hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn set_delimiters(tera: &mut Tera, delimiters: Delimiters) -> TeraResult<()> {
    syntax_of(&delimiters).validate().map_err(into_tera)?;
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let new = delimiters != Delimiters::default() && !known.contains(&delimiters);
    if new && known.len() == MAX_KNOWN {
        return Err(into_tera(Error::new(
            ErrorKind::Config,
            format!(
                "this process already uses {MAX_KNOWN} sets of delimiters; write templates with \
                 one of them"
            ),
        )));
    }
    if !speaks(tera, &delimiters) {
        tera.set_delimiters(delimiters.clone()).map_err(|cause| {
            let message = format!(
                "Tera refuses these delimiters: {cause}; set them on a new Tera, before any \
                 template is added"
            );
            into_tera(Error::new(ErrorKind::Config, message).with_source(cause))
        })?;
    }
    if new {
        known.push(delimiters);
    }
    Ok(())
}

/// Returns the lexical rules of a Tera with these delimiters, for [`rewrite`](crate::rewrite).
///
/// ```
/// use fragcache_tera::syntax_of;
/// use tera::Delimiters;
///
/// let rules = syntax_of(&Delimiters { block_start: "<%".into(), ..Delimiters::default() });
/// assert_eq!(rules.block_delimiters(), ("<%", "%}"));
/// ```
pub fn syntax_of(delimiters: &Delimiters) -> Syntax {
    let d = delimiters.clone();
    Syntax::tera()
        .with_block_delimiters(d.block_start, d.block_end)
        .with_variable_delimiters(d.variable_start, d.variable_end)
        .with_comment_delimiters(d.comment_start, d.comment_end)
}

/// The sets that a Tera of this process may have, the most likely first.
pub(crate) fn candidates() -> Vec<Delimiters> {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    std::iter::once(Delimiters::default()).chain(known.iter().cloned()).collect()
}

/// Returns an error if the delimiters of a Tera are not known.
pub(crate) fn check(tera: &Tera) -> TeraResult<()> {
    if candidates().iter().any(|delimiters| speaks(tera, delimiters)) {
        return Ok(());
    }
    Err(into_tera(Error::new(
        ErrorKind::Config,
        "this Tera has delimiters that fragcache does not know, so it cannot find cache blocks; \
         set them with fragcache_tera::set_delimiters",
    )))
}

/// Whether all six delimiters are those of this Tera.
fn speaks(tera: &Tera, delimiters: &Delimiters) -> bool {
    prints(tera, delimiters, "\"known\"", "known")
}

/// Whether `expression`, in a source that uses all six delimiters, prints `expected`.
pub(crate) fn prints(
    tera: &Tera,
    delimiters: &Delimiters,
    expression: &str,
    expected: &str,
) -> bool {
    let d = delimiters;
    let (open, close) = (&d.block_start, &d.block_end);
    let source = format!(
        "{open} if true {close}{} {expression} {}{open} endif {close}{} {}",
        d.variable_start, d.variable_end, d.comment_start, d.comment_end
    );
    tera.render_str(&source, &Context::new(), false).is_ok_and(|printed| printed == expected)
}
