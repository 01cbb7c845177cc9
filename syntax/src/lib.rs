//! The rewriter of fragcache: lowers the cache blocks of a template to constructs that the engine
//! already has.
//!
//! Neither MiniJinja nor Tera supports custom tags. [`rewrite`] processes a template's source
//! before the engine parses it and replaces each `{% cache … %}` and `{% endcache %}` by native
//! constructs that call the cache. It keeps every other byte and every line. A source without cache
//! blocks is returned borrowed.
//!
//! The crate knows no engine's types, no store and no rendering, only delimiters and lexical rules,
//! as described by [`Syntax`]. A build script depends on it alone and calls [`rewrite_folder`].
//! Engine extensions of fragcache use it through `fragcache::syntax`.
//!
//! ```
//! use fragcache_syntax::{Syntax, rewrite};
//!
//! let source = "{% cache 300, \"menu\" %}<nav>…</nav>{% endcache %}";
//! let page = rewrite("page.html", source, &Syntax::minijinja())?;
//! assert_eq!(page.blocks()[0].name(), Some("menu"));
//! assert!(page.source().contains("<nav>…</nav>"));
//! # Ok::<(), fragcache_syntax::Error>(())
//! ```

// A source passes through the scanner, the nesting walk with its checks, and the lowering.

#![cfg_attr(docsrs, feature(doc_cfg))]

use std::borrow::Cow;

mod arguments;
mod block;
mod block_id;
mod callers;
mod candidates;
mod declared;
mod delimiters;
mod dialect;
mod error;
mod folder;
mod follow;
mod lower;
mod name;
mod opener;
mod options;
mod outline;
mod refusal;

mod scanner;
mod source_map;
mod statement;
mod targets;
mod timeout;
mod token;
mod walk;
mod warning;

#[cfg(test)]
mod tests;

use follow::{Followed, Others};
use refusal::Refusal;

pub use block::CacheBlock;
pub use block_id::{BlockHead, BlockId, BlockIdBuilder, DIGEST_LEN};
pub use callers::hands_on_caller;
pub use declared::{MAX_CACHE_NAME_BYTES, is_cache_name};
pub use delimiters::Syntax;
pub use dialect::Dialect;
pub use error::{Error, ErrorKind, ErrorParts, Location};
pub use folder::{RewrittenFile, rewrite_folder};
pub use follow::{Sources, components};
pub use options::BlockOption;
pub use source_map::SourceMap;
pub use timeout::{Scalar, Timeout};
pub use warning::Warning;

/// The result of [`rewrite`]: the source for the engine, and what the rewriter found.
///
/// ```
/// use fragcache_syntax::{Syntax, rewrite};
///
/// let page = rewrite("page.html", "{% cache 300 %}Hello{% endcache %}", &Syntax::minijinja())?;
/// assert!(page.source().contains("Hello"));
/// assert_eq!(page.blocks().len(), 1);
/// # Ok::<(), fragcache_syntax::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten<'s> {
    source: Cow<'s, str>,
    blocks: Vec<CacheBlock>,
    map: SourceMap,
    warnings: Vec<Warning>,
    follows: Vec<String>,
    components: Vec<String>,
}

impl<'s> Rewritten<'s> {
    /// The lowered source.
    ///
    /// ```
    /// # use fragcache_syntax::{Syntax, rewrite};
    /// assert_eq!(rewrite("page.html", "Hello", &Syntax::tera())?.source(), "Hello");
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the lowered source, borrowed if nothing was rewritten.
    ///
    /// ```
    /// # use std::borrow::Cow;
    /// # use fragcache_syntax::{Syntax, rewrite};
    /// let page = rewrite("page.html", "Hello", &Syntax::tera())?;
    /// assert!(matches!(page.into_source(), Cow::Borrowed("Hello")));
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn into_source(self) -> Cow<'s, str> {
        self.source
    }

    /// The cache blocks, in the order in which they open.
    ///
    /// ```
    /// # use fragcache_syntax::{Syntax, rewrite};
    /// assert!(rewrite("page.html", "Hello", &Syntax::tera())?.blocks().is_empty());
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn blocks(&self) -> &[CacheBlock] {
        &self.blocks
    }

    /// Probable mistakes in a source that can be lowered. See [`Warning`].
    ///
    /// ```
    /// # use fragcache_syntax::{Syntax, rewrite};
    /// let source = "{% cache 300, \"form\" %}{{ csrf_token }}{% endcache %}";
    /// let page = rewrite("page.html", source, &Syntax::tera())?;
    /// assert_eq!(page.warnings()[0].name(), "csrf_token");
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Maps offsets in the lowered source to the author's source.
    ///
    /// ```
    /// # use fragcache_syntax::{Syntax, rewrite};
    /// assert_eq!(rewrite("page.html", "Hello", &Syntax::tera())?.map().original(2), 2);
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn map(&self) -> &SourceMap {
        &self.map
    }

    /// The names of the templates that the digests of the cache blocks cover or would cover,
    /// whether the sources have them or not. When one of them changes, rewrite this template again.
    ///
    /// ```
    /// # use fragcache_syntax::{Syntax, rewrite};
    /// let source = "{% cache 300 %}{% include 'nav.html' %}{% endcache %}{% include 'foot.html' %}";
    /// assert_eq!(rewrite("page.html", source, &Syntax::tera())?.follows(), ["nav.html"]);
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn follows(&self) -> &[String] {
        &self.follows
    }

    /// The names of the Tera components that the digests of the cache blocks cover or would cover.
    /// Handle them like [`follows`](Self::follows).
    ///
    /// ```
    /// # use fragcache_syntax::{Syntax, rewrite};
    /// let page = rewrite("page.html", "{% cache 300 %}{{ <card /> }}{% endcache %}", &Syntax::tera())?;
    /// assert_eq!(page.components(), ["card"]);
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn components(&self) -> &[String] {
        &self.components
    }
}

/// Lowers every cache block of `source`.
///
/// `template` is the name under which the engine knows the template: it is part of the key of
/// unnamed blocks, and of every error. No line is added or removed, and a source without a cache
/// block is returned borrowed. Errors that have nothing to do with cache blocks are left for the
/// engine to report. The digests cover this source alone: see [`rewrite_with`].
///
/// # Errors
///
/// Returns [`ErrorKind::Config`] for delimiters that the engine does not
/// accept, and [`ErrorKind::Syntax`], with the line and column in the
/// author's file, for a cache block that is malformed or cannot be cached safely.
///
/// ```
/// use fragcache_syntax::{Syntax, rewrite};
///
/// let syntax = Syntax::minijinja();
/// let page = rewrite("page.html", "{% cache 300, \"menu\" %}Hello{% endcache %}", &syntax)?;
/// assert_eq!(page.blocks()[0].name(), Some("menu"));
///
/// let error = rewrite("page.html", "{% cache 300 %}Hello", &syntax).unwrap_err();
/// assert!(error.message().starts_with("this cache block is never closed"));
/// # Ok::<(), fragcache_syntax::Error>(())
/// ```
pub fn rewrite<'s>(
    template: &str,
    source: &'s str,
    syntax: &Syntax,
) -> Result<Rewritten<'s>, Error> {
    rewrite_with(template, source, syntax, &|_: &str| None)
}

/// Lowers every cache block of `source` like [`rewrite`], with digests that also cover what the
/// blocks use of other sources.
///
/// These are, through any number of templates: templates included by a constant name, macros
/// imported from such a template, the parent's block where the body calls `super()`, and Tera's
/// components. Of a template with macros, the digest covers the macros that are used and everything
/// outside macros. What is known only when the page renders, such as the name in `{% include name
/// %}`, is not covered. At most 1,000 templates are read.
///
/// # Errors
///
/// The same as [`rewrite`]. Other sources are not checked here.
///
/// ```
/// use std::sync::Arc;
/// use fragcache_syntax::{Syntax, rewrite_with};
///
/// let source = "{% cache 300, 'menu' %}{% include 'nav.html' %}{% endcache %}";
/// let digest = |nav: &str| {
///     let sources = |name: &str| (name == "nav.html").then(|| Arc::from(nav));
///     let page = rewrite_with("page.html", source, &Syntax::minijinja(), &sources)?;
///     Ok::<_, fragcache_syntax::Error>(page.blocks()[0].digest().to_owned())
/// };
/// assert_eq!(digest("<nav>")?, digest("<nav>")?);
/// assert_ne!(digest("<nav>")?, digest("<nav class=wide>")?);
/// # Ok::<(), fragcache_syntax::Error>(())
/// ```
pub fn rewrite_with<'s>(
    template: &str,
    source: &'s str,
    syntax: &Syntax,
    sources: &dyn Sources,
) -> Result<Rewritten<'s>, Error> {
    syntax.validate()?;
    let untouched = || Rewritten {
        source: source.into(),
        blocks: Vec::new(),
        map: SourceMap::default(),
        warnings: Vec::new(),
        follows: Vec::new(),
        components: Vec::new(),
    };
    if !candidates::is_candidate(source, syntax) {
        return Ok(untouched());
    }
    let refusal = Refusal { template, source };
    let others = Others::new(template, source, syntax, sources);
    let (outline, others) = walk::outline(refusal, source, syntax, others)?;
    if outline.blocks.is_empty() && !others.were_read() {
        return Ok(untouched());
    }
    let spans: Vec<_> =
        outline.blocks.iter().map(|block| block.open.piece.start..block.end).collect();
    let followed = others.follow(&spans, outline.refers);
    walk::check_others(&refusal, &outline, &followed)?;
    if outline.blocks.is_empty() {
        let Followed { templates, components, .. } = followed;
        return Ok(Rewritten { follows: templates, components, ..untouched() });
    }
    let lowered = lower::lower(template, source, syntax, &outline, &followed.parts);
    let warnings = warning::warnings(source, &outline, &lowered.blocks);
    Ok(Rewritten {
        source: lowered.source.into(),
        blocks: lowered.blocks,
        map: lowered.map,
        warnings,
        follows: followed.templates,
        components: followed.components,
    })
}

/// The template name that the cache blocks of a nameless template get: a digest of its source.
///
/// ```
/// use fragcache_syntax::name_of_string;
///
/// assert_eq!(name_of_string("a"), name_of_string("a"));
/// assert_ne!(name_of_string("a"), name_of_string("b"));
/// ```
pub fn name_of_string(source: &str) -> String {
    format!("<string:{:032x}>", xxhash_rust::xxh3::xxh3_128(source.as_bytes()))
}
