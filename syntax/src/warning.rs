//! Warnings: probable mistakes in a template that can be lowered. `secret.rs` finds the names of
//! secrets.

use std::fmt;
use std::sync::Arc;

use crate::block::CacheBlock;
use crate::outline::{Change, Outline, Secret};
use crate::refusal::Places;
use crate::refusal::excerpt;

/// A probable mistake in a template. There are three:
///
/// - A cached body uses a name that looks like a visitor's secret, a CSRF token or a nonce. Every
///   visitor who is served the fragment gets the token of the visitor who rendered it.
/// - A cache block with a constant name and no vary part stands in a loop, so all iterations print
///   the fragment of the first. If that is intended, write `shared=true`.
/// - MiniJinja: a cached body passes a namespace from outside to a macro that sets an attribute of
///   it. The output of such a render is served but not stored.
///
/// Secrets are looked for among the names of variables, attributes, functions, filters and
/// keywords, and among string literals that are a subscript (`session["csrf_token"]`) or the whole
/// value of a keyword argument (`field(name="csrf")`). A name is secret if
///
/// - one of its words is `csrf`, `xsrf` or `nonce`, in any case. Words end at `_`, `-`, `.` and
///   before a capital letter: `csp_nonce` and `xsrfCookie` match, `announce` and `nonces` do not;
/// - or it contains `csrf_token`, `csrftoken`, `xsrftoken`, `csrfmiddlewaretoken`,
///   `authenticity_token` or `authenticitytoken`.
///
/// Text, comments, `raw` sections, the arguments of cache tags and included templates are not
/// searched. There is one warning for each name and block, however often the name is used. A block
/// that varies on the name, or has it in its `version`, gets none; of nested blocks, the warning
/// names the outermost one that does not vary on it.
///
/// ```
/// use fragcache_syntax::{Syntax, rewrite};
///
/// let source = "{% cache 300, \"form\" %}\n{{ request.csrf_token }}{% endcache %}";
/// let page = rewrite("page.html", source, &Syntax::minijinja())?;
/// let warning = &page.warnings()[0];
/// assert_eq!((warning.line(), warning.column(), warning.name()), (2, 12, "csrf_token"));
/// assert!(warning.to_string().ends_with("(in page.html:2:12)"));
///
/// let source = source.replace("\"form\"", "\"form\", request.csrf_token");
/// assert!(rewrite("page.html", &source, &Syntax::minijinja())?.warnings().is_empty());
/// # Ok::<(), fragcache_syntax::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    template: Arc<str>,
    line: u32,
    column: u32,
    name: String,
    message: String,
}

impl Warning {
    /// The name of the template, as given to [`rewrite`](super::rewrite).
    ///
    /// ```
    /// # let page = fragcache_syntax::rewrite("a.html", "{% cache %}{{ nonce }}{% endcache %}", &fragcache_syntax::Syntax::tera())?;
    /// assert_eq!(page.warnings()[0].template(), "a.html");
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn template(&self) -> &str {
        &self.template
    }

    /// The one-based line of the name, or of the cache block in a loop.
    ///
    /// ```
    /// # let page = fragcache_syntax::rewrite("a.html", "{% cache %}\n{{ nonce }}{% endcache %}", &fragcache_syntax::Syntax::tera())?;
    /// assert_eq!(page.warnings()[0].line(), 2);
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The one-based column of the name, or of the cache block in a loop, in characters.
    ///
    /// ```
    /// # let page = fragcache_syntax::rewrite("a.html", "{% cache %}\n{{ nonce }}{% endcache %}", &fragcache_syntax::Syntax::tera())?;
    /// assert_eq!(page.warnings()[0].column(), 4);
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn column(&self) -> u32 {
        self.column
    }

    /// The name as the author wrote it, without quotes; for a cache block in a loop, the block's
    /// name.
    ///
    /// ```
    /// # let page = fragcache_syntax::rewrite("a.html", "{% cache %}{{ cspNonce }}{% endcache %}", &fragcache_syntax::Syntax::tera())?;
    /// assert_eq!(page.warnings()[0].name(), "cspNonce");
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Says what is wrong and what to write instead, without the place.
    ///
    /// ```
    /// # let page = fragcache_syntax::rewrite("a.html", "{% cache %}{{ nonce }}{% endcache %}", &fragcache_syntax::Syntax::tera())?;
    /// assert!(page.warnings()[0].message().starts_with("`nonce` in the cache block of line 1"));
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { template, line, column, message, .. } = self;
        write!(f, "{message} (in {template}:{line}:{column})")
    }
}

pub(super) fn warnings(
    source: &str,
    Outline { secrets, repeated, changes, .. }: &Outline<'_>,
    blocks: &[CacheBlock],
) -> Vec<Warning> {
    let mut places = Places::new(source);
    let mut loops = Places::new(source);
    let mut places_of_loops: Vec<(usize, (u32, u32))> = Vec::new();
    let mut by_loop = repeated.to_vec();
    by_loop.sort_by_key(|(_, around)| *around);
    places_of_loops.extend(by_loop.iter().map(|(index, around)| (*index, loops.of(*around))));
    let shared = places_of_loops.into_iter().filter_map(|(index, (line, column))| {
        let block = blocks.get(index)?;
        Some(Warning {
            template: block.template.clone(),
            line: block.line,
            column: block.column,
            name: block.name.clone().unwrap_or_default(),
            message: format!(
                "the cache block `{}` in the `for` loop of line {line}, column {column} has no \
                 vary part, so all iterations print the fragment of the first; add one, such as \
                 `item.id`, or `shared=true` if they are all the same",
                excerpt(block.name.as_deref().unwrap_or_default()),
            ),
        })
    });
    let found = secrets.iter().filter_map(|secret| Some((secret, blocks.get(secret.block)?)));
    let secrets = found.map(|(&Secret { at, name, .. }, block)| {
        let (line, column) = places.of(at);
        Warning {
            template: block.template.clone(),
            line,
            column,
            name: name.to_owned(),
            message: format!(
                "`{name}` in the cache block of line {}, column {}: every visitor who is served \
                 this fragment gets the same one; move it out of the block, or add it as a vary \
                 part",
                block.line, block.column
            ),
        }
    });
    let mut places = Places::new(source);
    let found = changes.iter().filter_map(|change| Some((change, blocks.get(change.block)?)));
    let changes = found.map(|(Change { at, name, place, .. }, block)| {
        let (line, column) = places.of(*at);
        Warning {
            template: block.template.clone(),
            line,
            column,
            name: (*name).to_owned(),
            message: format!(
                "`{name}` is created outside the cache block of line {}, column {}, and changed \
                 by code that it is passed to ({place}), which a hit would not do: such a render \
                 is printed and not stored; pass it on outside the block, or create `{name} = \
                 namespace()` in it",
                block.line, block.column
            ),
        }
    });
    let mut all: Vec<Warning> = shared.chain(secrets).chain(changes).collect();
    all.sort_by_key(|warning| (warning.line, warning.column));
    all
}
