//! For authors of engine extensions and layers: the functions that a rewritten template calls while
//! it renders, and that a layer calls for a response.
//!
//! An extension passes the block's site and arguments to [`FragmentCache::open`]. On a hit it
//! prints the body; on a miss it renders the body and closes the [`Ticket`]. Template authors and
//! users of an extension do not need this module.
//!
//! [`FragmentCache::open`]: crate::FragmentCache::open

pub use crate::caches::prefetch;
pub use crate::entry::{BinaryContent, Body, Markup, OutputMode};
#[cfg(feature = "async")]
pub use crate::key::view_key;
pub use crate::key::{KeyEncoder, UnusablePart};
pub use crate::render::{
    Arguments, Closed, Opened, RenderContext, RenderMemo, Scope, StoreOutcome, Tags, Ticket,
    abandon, add_tags, close, declare, expire_after, varies, veto,
};
pub use crate::timeout::Scalar;
#[cfg(feature = "async")]
pub use crate::views::{
    Collector, MakeResponse, OpenView, PendingCollection, ViewOpened, ViewRequest, bypass_view,
};
