//! Renders with a known start and end, so that blocks left open by an error do not
//! outlive the render.

use std::cell::RefCell;
use std::io::Write;
use std::marker::PhantomData;
use std::sync::Arc;

use fragcache::ReadPoint;
use fragcache::engine::{RenderMemo, Scope};
use fragcache::syntax::{name_of_string, rewrite_with};
use tera::{Context, Tera, TeraResult, Value};

use crate::error::{self, Authors};
use crate::install::Installation;
use crate::templates::report_warnings;

/// The context variable that may hold the render's read point.
pub(crate) const READ_POINT: &str = "fragcache_read_point";

thread_local! {
    /// Memo of the render in the current scope of this thread.
    static MEMO: RefCell<Option<Arc<RenderMemo>>> = const { RefCell::new(None) };
}

/// Returns the memo of the current scope's render. Without a scope, the end of the
/// render is not known.
pub(crate) fn memo() -> Option<Arc<RenderMemo>> {
    MEMO.with_borrow(Clone::clone)
}

/// Restores the outer scope's memo, also when the render panics.
struct Remembering {
    outer: Option<Arc<RenderMemo>>,
    _not_send: PhantomData<*const ()>,
}

impl Remembering {
    fn begin() -> Self {
        let outer = MEMO.replace(Some(Arc::default()));
        Self { outer, _not_send: PhantomData }
    }
}

impl Drop for Remembering {
    fn drop(&mut self) {
        MEMO.set(self.outer.take());
    }
}

/// Runs `render`, which renders one page on this thread. If it fails or panics, the blocks that it
/// left open are abandoned immediately.
///
/// Put it around a render that a framework makes. A bare `tera.render` caches as soundly, unless it
/// takes longer than a minute. But after an error in a cached body, other threads may wait for that
/// body until their wait limit, and an unnamed block that is opened twice in one page is not
/// detected.
///
/// A scope inside a scope is a separate render. Returns the result of `render`.
///
/// ```
/// use fragcache::FragmentCache;
/// use tera::{Context, Tera};
///
/// let mut tera = Tera::new();
/// let cache = FragmentCache::in_memory();
/// fragcache_tera::add_to_tera(&mut tera, cache.clone())?;
/// fragcache_tera::add_raw_template(&mut tera, "a", "{% cache %}{{ oops }}{% endcache %}")?;
///
/// let failed = fragcache_tera::scope(|| tera.render("a", &Context::new()));
/// assert!(failed.is_err());
/// assert_eq!(cache.stats().flights, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn scope<R>(render: impl FnOnce() -> R) -> R {
    let _scope = Scope::begin();
    let _remembering = Remembering::begin();
    render()
}

/// Renders a template like [`Tera::render`], inside a [`scope`].
///
/// # Errors
///
/// Returns the errors of [`Tera::render`]. An error of a cache block ends with the
/// block's place in the author's file. An error that would show rewritten source is
/// replaced by a message that shows the author's.
///
/// ```
/// use fragcache::FragmentCache;
/// use tera::{Context, Tera};
///
/// let mut tera = Tera::new();
/// fragcache_tera::add_to_tera(&mut tera, FragmentCache::in_memory())?;
/// fragcache_tera::add_raw_template(&mut tera, "a", "{% cache 60 %}Hello{% endcache %}")?;
/// assert_eq!(fragcache_tera::render(&tera, "a", &Context::new())?, "Hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn render(tera: &Tera, name: &str, context: &Context) -> TeraResult<String> {
    bounded(context, || tera.render(name, context)).map_err(|cause| error::of_render(tera, cause))
}

/// Renders a template into a writer like [`Tera::render_to`], inside a [`scope`].
///
/// # Errors
///
/// Returns the errors of [`Tera::render_to`], shown as by [`render`].
///
/// ```
/// use fragcache::FragmentCache;
/// use tera::{Context, Tera};
///
/// let mut tera = Tera::new();
/// fragcache_tera::add_to_tera(&mut tera, FragmentCache::in_memory())?;
/// fragcache_tera::add_raw_template(&mut tera, "a", "{% cache 60 %}Hello{% endcache %}")?;
/// let mut page = Vec::new();
/// fragcache_tera::render_to(&tera, "a", &Context::new(), &mut page)?;
/// assert_eq!(page, b"Hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn render_to(tera: &Tera, name: &str, context: &Context, write: impl Write) -> TeraResult<()> {
    bounded(context, || tera.render_to(name, context, write))
        .map_err(|cause| error::of_render(tera, cause))
}

/// Renders a template from a string like [`Tera::render_str`], with cache blocks.
///
/// The template is named after a digest of its source ([`name_of_string`]), so an unnamed block has
/// the same key wherever the same source is rendered. The source is rewritten and compiled on every
/// call.
///
/// # Errors
///
/// Returns the errors of [`Tera::render_str`], shown as by [`render`], and those of
/// [`add_raw_template`](crate::add_raw_template).
///
/// ```
/// use fragcache::FragmentCache;
/// use tera::{Context, Tera};
///
/// let mut tera = Tera::new();
/// let cache = FragmentCache::in_memory();
/// fragcache_tera::add_to_tera(&mut tera, cache.clone())?;
/// for _ in 0..2 {
///     let source = "{% cache 60 %}Hello{% endcache %}";
///     let page = fragcache_tera::render_str(&tera, source, &Context::new(), true)?;
///     assert_eq!(page, "Hello");
/// }
/// assert_eq!(cache.stats().hits, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn render_str(
    tera: &Tera,
    source: &str,
    context: &Context,
    autoescape: bool,
) -> TeraResult<String> {
    let (installation, syntax) = Installation::of(tera)?;
    let name = name_of_string(source);
    let lowered =
        rewrite_with(&name, source, &syntax, &installation.loaded).map_err(error::into_tera)?;
    report_warnings(&installation, &lowered).map_err(error::into_tera)?;
    let string = Some((&*name, source));
    let authors = Authors { syntax: &syntax, loaded: &installation.loaded, string };
    bounded(context, || tera.render_str(lowered.source(), context, autoescape))
        .map_err(|cause| authors.words(cause))
}

/// Renders in a scope, under the read point in its context.
fn bounded<R>(context: &Context, render: impl FnOnce() -> R) -> R {
    let token = context.get(READ_POINT).and_then(Value::as_str);
    match token.and_then(ReadPoint::from_token) {
        Some(point) => point.scope(|| scope(render)),
        None => scope(render),
    }
}
