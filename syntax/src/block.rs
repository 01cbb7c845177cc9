//! Describes a cache block that the rewriter found. `nesting.rs` finds the blocks.

use std::ops::Range;
use std::sync::Arc;

use crate::options::BlockOption;

/// One cache block of a template, as [`rewrite`](crate::rewrite) found it.
///
/// ```
/// use fragcache_syntax::{Syntax, rewrite};
///
/// let source = "Hi\n{% cache 300, \"sidebar\", user.id %}…{% endcache %}";
/// let page = rewrite("page.html", source, &Syntax::minijinja())?;
/// let block = &page.blocks()[0];
/// assert_eq!((block.line(), block.column(), block.ordinal()), (2, 1, 1));
/// assert_eq!(block.name(), Some("sidebar"));
/// assert_eq!(block.vary(), Some(1));
/// # Ok::<(), fragcache_syntax::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheBlock {
    pub(super) template: Arc<str>,
    pub(super) span: Range<usize>,
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) ordinal: u32,
    pub(super) depth: usize,
    pub(super) digest: String,
    pub(super) name: Option<String>,
    /// How many of timeout, name and vary parts are given.
    pub(super) positional: usize,
    /// In the author's order.
    pub(super) options: Vec<BlockOption>,
    pub(super) using: Option<String>,
}

impl CacheBlock {
    /// The name of the template, as given to [`rewrite`](crate::rewrite).
    ///
    /// ```
    /// # let page = fragcache_syntax::rewrite("a.html", "{% cache %}{% endcache %}", &fragcache_syntax::Syntax::tera())?;
    /// assert_eq!(page.blocks()[0].template(), "a.html");
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn template(&self) -> &str {
        &self.template
    }

    /// The byte range in the author's source, from the opening tag through the closing tag.
    ///
    /// ```
    /// # let page = fragcache_syntax::rewrite("a.html", "Hi {% cache %}{% endcache %}", &fragcache_syntax::Syntax::tera())?;
    /// assert_eq!(page.blocks()[0].span(), 3..28);
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The one-based line of the opening tag.
    ///
    /// ```
    /// # let page = fragcache_syntax::rewrite("a.html", "\n{% cache %}{% endcache %}", &fragcache_syntax::Syntax::tera())?;
    /// assert_eq!(page.blocks()[0].line(), 2);
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The one-based column of the opening tag, in characters.
    ///
    /// ```
    /// # let page = fragcache_syntax::rewrite("a.html", "é {% cache %}{% endcache %}", &fragcache_syntax::Syntax::tera())?;
    /// assert_eq!(page.blocks()[0].column(), 3);
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn column(&self) -> u32 {
        self.column
    }

    /// The position of the block among the cache blocks that open on this line, counted from 1.
    ///
    /// ```
    /// # let page = fragcache_syntax::rewrite("a.html", "{% cache %}{% endcache %} {% cache %}{% endcache %}", &fragcache_syntax::Syntax::tera())?;
    /// assert_eq!(page.blocks()[1].ordinal(), 2);
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// The number of cache blocks around this one.
    ///
    /// ```
    /// # let page = fragcache_syntax::rewrite("a.html", "{% cache %}{% cache 9 %}{% endcache %}{% endcache %}", &fragcache_syntax::Syntax::tera())?;
    /// assert_eq!(page.blocks()[1].depth(), 1);
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The digest of the block: 22 characters of base64url. It changes with any byte from the
    /// opening through the closing tag, and with what the block uses of [other
    /// sources](crate::rewrite_with).
    ///
    /// ```
    /// # let page = fragcache_syntax::rewrite("a.html", "{% cache %}a{% endcache %}{% cache %}b{% endcache %}", &fragcache_syntax::Syntax::tera())?;
    /// assert_eq!(page.blocks()[0].digest().len(), 22);
    /// assert_ne!(page.blocks()[0].digest(), page.blocks()[1].digest());
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The block's name if it is a string literal. `None` if the block has no name, or a name that
    /// is known only when the template renders.
    ///
    /// ```
    /// # let page = fragcache_syntax::rewrite("a.html", "{% cache 9, 'menu' %}{% endcache %}", &fragcache_syntax::Syntax::tera())?;
    /// assert_eq!(page.blocks()[0].name(), Some("menu"));
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether the block has no name, so that its position in the template is its key.
    ///
    /// ```
    /// # let page = fragcache_syntax::rewrite("a.html", "{% cache 9 %}{% endcache %}", &fragcache_syntax::Syntax::tera())?;
    /// assert!(page.blocks()[0].is_unnamed());
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn is_unnamed(&self) -> bool {
        self.positional < 2
    }

    /// The number of vary parts of a named block; `None` for an unnamed one.
    ///
    /// ```
    /// # let page = fragcache_syntax::rewrite("a.html", "{% cache 9, 'menu', lang %}{% endcache %}", &fragcache_syntax::Syntax::tera())?;
    /// assert_eq!(page.blocks()[0].vary(), Some(1));
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn vary(&self) -> Option<usize> {
        self.positional.checked_sub(2)
    }

    /// Whether the block has this option. `shared=false` counts as not having it. Conditions, tags
    /// and other values are known only when the template renders.
    ///
    /// ```
    /// use fragcache_syntax::BlockOption;
    /// # let page = fragcache_syntax::rewrite("a.html", "{% cache 9, 'post', tags=['post:7'] %}{% endcache %}", &fragcache_syntax::Syntax::tera())?;
    ///
    /// assert!(page.blocks()[0].has(BlockOption::Tags));
    /// assert!(!page.blocks()[0].has(BlockOption::Stale));
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn has(&self, option: BlockOption) -> bool {
        self.options.contains(&option)
    }

    /// The name of the cache that the block uses, if `using` is a string literal. `None` without
    /// the option, and for a name that is known only when the template renders.
    ///
    /// ```
    /// # let page = fragcache_syntax::rewrite("a.html", "{% cache 9, using='pages' %}{% endcache %}", &fragcache_syntax::Syntax::tera())?;
    /// assert_eq!(page.blocks()[0].using(), Some("pages"));
    /// # Ok::<(), fragcache_syntax::Error>(())
    /// ```
    pub fn using(&self) -> Option<&str> {
        self.using.as_deref()
    }
}
