//! One render of one cache block. `open` reads an engine's arguments, and
//! `enter` looks up and, on a miss, pushes a frame on this thread's stack; `forced` does so without
//! a lookup. `declare` and `current` add to the frame, `close` stores it, and `annotate` shows the
//! outcome. Engines use it through [`engine`](crate::engine).

mod annotate;
mod arguments;
mod ask;
mod caller;
mod close;
#[cfg(feature = "async")]
mod collect_in;
pub mod current;
mod declare;
#[cfg(feature = "async")]
mod detached;
mod enter;
mod forced;
mod open;
mod prefetched;
mod scope;
mod stack;
mod wait_strategy;

pub use arguments::{Arguments, varies};
pub use close::{Closed, StoreOutcome, Ticket, abandon, close, veto};
#[cfg(feature = "async")]
pub(crate) use collect_in::{Collected, collect_in};
pub use declare::{Tags, add_tags, declare, expire_after};
#[cfg(feature = "async")]
pub(crate) use detached::{Begun, Detached};
pub use enter::Opened;
pub(crate) use enter::{Lookup, Request};
#[cfg(feature = "values")]
pub(crate) use forced::GIVEN_ATTEMPTS;
pub use open::RenderContext;
pub use scope::{RenderMemo, Scope};
#[cfg(all(test, not(fragcache_shuttle)))]
pub(crate) use stack::{Frames, swap};
