//! For authors of engine extensions and layers: the functions that a rewritten template calls while
//! it renders, and that a layer calls for a response.
//!
//! An extension passes the block's id and arguments to [`FragmentCache::open`]. On a hit it
//! prints the body; on a miss it renders the body and closes the [`Ticket`]. Template authors and
//! users of an extension do not need this module.
//!
//! Where the id comes from depends on the engine. The [rewriter](crate::syntax) writes it into the
//! templates of engines without custom tags. An engine that has them builds it with
//! [`BlockId::builder`] when it parses a block, and needs no rewriter:
//!
//! ```
//! use fragcache::engine::{
//!     Arguments, BlockId, Body, KeyEncoder, Opened, OutputMode, RenderContext, RenderMemo, Scalar,
//!     UnusablePart,
//! };
//! use fragcache::{FragmentCache, ReadPoint, make_template_fragment_key};
//! use std::sync::Arc;
//!
//! /// `{% cache 300, "menu" %}`: the values of its arguments.
//! struct Menu;
//! impl Arguments for Menu {
//!     fn len(&self) -> usize {
//!         2
//!     }
//!     fn scalar(&self, _: usize) -> Scalar<'_> {
//!         Scalar::Int(300)
//!     }
//!     fn truthy(&self, _: usize) -> bool {
//!         true
//!     }
//!     fn encode(&self, _: usize, key: &mut KeyEncoder<'_>) -> Result<(), UnusablePart> {
//!         key.str("menu");
//!         Ok(())
//!     }
//! }
//!
//! struct Page;
//! impl RenderContext for Page {
//!     fn mode(&self) -> OutputMode {
//!         OutputMode::HTML
//!     }
//!     fn is_bounded(&self) -> bool {
//!         true
//!     }
//!     fn memo(&mut self) -> Option<Arc<RenderMemo>> {
//!         None
//!     }
//!     fn read_point(&mut self) -> Option<ReadPoint> {
//!         None
//!     }
//! }
//!
//! // While the template is parsed.
//! let id = BlockId::builder("page.html", "{% cache 300, \"menu\" %}<nav>{% endcache %}").line(3);
//! let id = id.build().encode();
//!
//! // While it renders.
//! let cache = FragmentCache::in_memory();
//! let render = |body: &str| match cache.open(&id, &Menu, &mut Page, Body::to_shared)? {
//!     Opened::Hit(markup) => Ok::<_, fragcache::Error>(markup),
//!     Opened::Render(ticket) => {
//!         ticket.close(body.into());
//!         Ok(body.into())
//!     }
//! };
//! assert_eq!(&*render("<nav>")?, "<nav>");
//! assert_eq!(&*render("not printed")?, "<nav>");
//! cache.delete(&make_template_fragment_key("menu", [""; 0])).eventually();
//! assert_eq!(&*render("<nav>…")?, "<nav>…");
//! # Ok::<(), fragcache::Error>(())
//! ```
//!
//! A whole extension for an engine with block helpers is in the repository, in
//! `examples/handlebars`.
//!
//! [`FragmentCache::open`]: crate::FragmentCache::open

pub use crate::caches::prefetch;
pub use crate::entry::{BinaryContent, Body, Markup, OutputMode, SharedValue};
#[cfg(feature = "async")]
pub use crate::key::view_key;
pub use crate::key::{KeyEncoder, UnusablePart};
pub use crate::render::{
    Arguments, Closed, Opened, OptionValue, RenderContext, RenderMemo, Scope, StoreOutcome, Ticket,
    abandon, add_tags, close, declare, expire_after, varies, veto,
};
pub use crate::timeout::Scalar;
#[cfg(feature = "async")]
pub use crate::views::{
    Collector, MakeResponse, OpenView, PendingCollection, ViewOpened, ViewRequest, bypass_view,
};
pub use fragcache_syntax::{BlockId, BlockIdBuilder, BlockOption};
