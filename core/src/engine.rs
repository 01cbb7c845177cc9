//! For authors of engine extensions and of layers: what a rewritten template calls while it renders,
//! and what a layer calls for a response.
//!
//! An extension hands over the block's site and arguments with [`FragmentCache::open`], prints
//! what it gets on a hit, and on a miss renders the body and closes the [`Ticket`]. Template
//! authors and users of an extension need none of this.
//!
//! [`FragmentCache::open`]: crate::FragmentCache::open

pub use crate::entry::{BinaryContent, Body, Markup, OutputMode};
pub use crate::key::{KeyEncoder, UnusablePart};
pub use crate::render::{
    Arguments, Closed, Opened, RenderContext, RenderMemo, Scope, StoreOutcome, Tags, Ticket,
    abandon, add_tags, close, declare, expire_after, prefetch, varies, veto,
};
pub use crate::timeout::Scalar;
#[cfg(feature = "async")]
pub use crate::views::{
    Collector, MakeResponse, OpenView, PendingCollection, ViewOpened, ViewRequest, bypass_view,
    view_key,
};
