//! Describes a cache block that the rewriter found. `nesting.rs` finds the blocks.

use std::ops::Range;
use std::sync::Arc;

use crate::key::FragmentKey;

/// One cache block of a template, as [`rewrite`](super::rewrite) found it.
///
/// ```
/// use fragcache::syntax::{Syntax, rewrite};
///
/// let source = "Hi\n{% cache 300, \"sidebar\", user.id %}…{% endcache %}";
/// let page = rewrite("page.html", source, &Syntax::minijinja())?;
/// let block = &page.blocks()[0];
/// assert_eq!((block.line(), block.column(), block.ordinal()), (2, 1, 1));
/// assert_eq!(block.name(), Some("sidebar"));
/// assert_eq!(block.vary(), Some(1));
/// # Ok::<(), fragcache::Error>(())
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
    /// The option letters, as in [`BlockId`](super::site::BlockId).
    pub(super) options: String,
    pub(super) shared: bool,
    pub(super) tags: bool,
    pub(super) stale: bool,
    pub(super) using: Option<String>,
}

impl CacheBlock {
    /// The name of the template, as given to [`rewrite`](super::rewrite).
    ///
    /// ```
    /// # let page = fragcache::syntax::rewrite("a.html", "{% cache %}{% endcache %}", &fragcache::syntax::Syntax::tera())?;
    /// assert_eq!(page.blocks()[0].template(), "a.html");
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn template(&self) -> &str {
        &self.template
    }

    /// The byte range in the author's source, from the opening tag through the closing tag.
    ///
    /// ```
    /// # let page = fragcache::syntax::rewrite("a.html", "Hi {% cache %}{% endcache %}", &fragcache::syntax::Syntax::tera())?;
    /// assert_eq!(page.blocks()[0].span(), 3..28);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The one-based line of the opening tag.
    ///
    /// ```
    /// # let page = fragcache::syntax::rewrite("a.html", "\n{% cache %}{% endcache %}", &fragcache::syntax::Syntax::tera())?;
    /// assert_eq!(page.blocks()[0].line(), 2);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The one-based column of the opening tag, in characters.
    ///
    /// ```
    /// # let page = fragcache::syntax::rewrite("a.html", "é {% cache %}{% endcache %}", &fragcache::syntax::Syntax::tera())?;
    /// assert_eq!(page.blocks()[0].column(), 3);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn column(&self) -> u32 {
        self.column
    }

    /// The position of the block among the cache blocks that open on this line, counted from 1.
    ///
    /// ```
    /// # let page = fragcache::syntax::rewrite("a.html", "{% cache %}{% endcache %} {% cache %}{% endcache %}", &fragcache::syntax::Syntax::tera())?;
    /// assert_eq!(page.blocks()[1].ordinal(), 2);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// The number of cache blocks around this one.
    ///
    /// ```
    /// # let page = fragcache::syntax::rewrite("a.html", "{% cache %}{% cache 9 %}{% endcache %}{% endcache %}", &fragcache::syntax::Syntax::tera())?;
    /// assert_eq!(page.blocks()[1].depth(), 1);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The digest of the block: 22 characters of base64url. It changes with any byte from the
    /// opening through the closing tag, and with what the block uses of [other
    /// sources](super::rewrite_with).
    ///
    /// ```
    /// # let page = fragcache::syntax::rewrite("a.html", "{% cache %}a{% endcache %}{% cache %}b{% endcache %}", &fragcache::syntax::Syntax::tera())?;
    /// assert_eq!(page.blocks()[0].digest().len(), 22);
    /// assert_ne!(page.blocks()[0].digest(), page.blocks()[1].digest());
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The block's name if it is a string literal. `None` if the block has no name, or a name that
    /// is known only when the template renders.
    ///
    /// ```
    /// # let page = fragcache::syntax::rewrite("a.html", "{% cache 9, 'menu' %}{% endcache %}", &fragcache::syntax::Syntax::tera())?;
    /// assert_eq!(page.blocks()[0].name(), Some("menu"));
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether the block has no name, so that its position in the template is its key.
    ///
    /// ```
    /// # let page = fragcache::syntax::rewrite("a.html", "{% cache 9 %}{% endcache %}", &fragcache::syntax::Syntax::tera())?;
    /// assert!(page.blocks()[0].is_unnamed());
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn is_unnamed(&self) -> bool {
        self.positional < 2
    }

    /// The number of vary parts of a named block; `None` for an unnamed one.
    ///
    /// ```
    /// # let page = fragcache::syntax::rewrite("a.html", "{% cache 9, 'menu', lang %}{% endcache %}", &fragcache::syntax::Syntax::tera())?;
    /// assert_eq!(page.blocks()[0].vary(), Some(1));
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn vary(&self) -> Option<usize> {
        self.positional.checked_sub(2)
    }

    /// The block's key, if the source alone determines it: for an unnamed block, and for a literal
    /// name without vary parts.
    ///
    /// ```
    /// # let page = fragcache::syntax::rewrite("a.html", "{% cache %}{% endcache %}{% cache 9, 'menu' %}{% endcache %}", &fragcache::syntax::Syntax::tera())?;
    /// let keys: Vec<_> = page.blocks().iter().map(|block| block.key()).collect();
    /// assert_eq!(keys[0], Some(fragcache::fragment_key_at("a.html", 1)));
    /// assert_eq!(keys[1], Some(fragcache::fragment_key!("menu")));
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn key(&self) -> Option<FragmentKey> {
        if self.is_unnamed() {
            return Some(FragmentKey::at(&self.template, self.line, self.ordinal));
        }
        let name = self.name()?;
        (self.vary() == Some(0)).then(|| FragmentKey::new(name))
    }

    /// Whether the block has an `unless` option.
    ///
    /// ```
    /// # let page = fragcache::syntax::rewrite("a.html", "{% cache 9, unless=draft %}{% endcache %}", &fragcache::syntax::Syntax::tera())?;
    /// assert!(page.blocks()[0].has_unless());
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn has_unless(&self) -> bool {
        self.options.contains('u')
    }

    /// Whether the block has a `refresh` option.
    ///
    /// ```
    /// # let page = fragcache::syntax::rewrite("a.html", "{% cache 9, refresh=edit %}{% endcache %}", &fragcache::syntax::Syntax::tera())?;
    /// assert!(page.blocks()[0].has_refresh());
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn has_refresh(&self) -> bool {
        self.options.contains('r')
    }

    /// Whether the block has a `version` option.
    ///
    /// ```
    /// # let page = fragcache::syntax::rewrite("a.html", "{% cache 9, 'post', version=post.version %}{% endcache %}", &fragcache::syntax::Syntax::tera())?;
    /// assert!(page.blocks()[0].has_version());
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn has_version(&self) -> bool {
        self.options.contains('v')
    }

    /// Whether the block has a `tags` option. The tags themselves are known only when a miss
    /// renders the block.
    ///
    /// ```
    /// # let page = fragcache::syntax::rewrite("a.html", "{% cache 9, 'post', tags=['post:7'] %}{% endcache %}", &fragcache::syntax::Syntax::tera())?;
    /// assert!(page.blocks()[0].has_tags());
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn has_tags(&self) -> bool {
        self.tags
    }

    /// Whether the block has a `stale` option. Its value is known only when a miss renders the
    /// block.
    ///
    /// ```
    /// # let page = fragcache::syntax::rewrite("a.html", "{% cache 9, 'post', stale='30s' %}{% endcache %}", &fragcache::syntax::Syntax::tera())?;
    /// assert!(page.blocks()[0].has_stale());
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn has_stale(&self) -> bool {
        self.stale
    }

    /// Whether the block has a `using` option.
    ///
    /// ```
    /// # let page = fragcache::syntax::rewrite("a.html", "{% cache 9, using=shelf %}{% endcache %}", &fragcache::syntax::Syntax::tera())?;
    /// assert!(page.blocks()[0].has_using());
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn has_using(&self) -> bool {
        self.options.contains('c')
    }

    /// The name of the cache that the block uses, if `using` is a string literal. `None` without
    /// the option, and for a name that is known only when the template renders.
    ///
    /// ```
    /// # let page = fragcache::syntax::rewrite("a.html", "{% cache 9, using='pages' %}{% endcache %}", &fragcache::syntax::Syntax::tera())?;
    /// assert_eq!(page.blocks()[0].using(), Some("pages"));
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn using(&self) -> Option<&str> {
        self.using.as_deref()
    }

    /// Whether the block says `shared=true`.
    ///
    /// ```
    /// # let page = fragcache::syntax::rewrite("a.html", "{% cache 9, shared=true %}{% endcache %}", &fragcache::syntax::Syntax::tera())?;
    /// assert!(page.blocks()[0].is_shared());
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn is_shared(&self) -> bool {
        self.shared
    }
}
