//! One render of one cache block: `choose` finds the cache that it is in, `open` reads an engine's
//! arguments, `enter` looks up and, on a miss, puts a frame on this thread's stack, `anew` does so
//! whatever is stored; `declare` and
//! `current` add to the frame, `close` stores it; `annotate` shows what became of it. Engines reach
//! it through [`engine`](crate::engine).

mod anew;
mod annotate;
mod announced;
mod arguments;
mod ask;
mod caller;
mod choose;
mod close;
pub mod current;
mod declare;
#[cfg(feature = "async")]
mod detached;
mod enter;
#[cfg(feature = "async")]
mod gather;
mod open;
mod patience;
mod scope;
mod stack;

#[cfg(feature = "values")]
pub(crate) use anew::GIVEN_ATTEMPTS;
pub use announced::announce;
pub use arguments::{Arguments, varies};
pub use close::{Closed, Outcome, Ticket, abandon, close, veto};
pub use declare::{Tags, add_tags, declare, expire_after};
#[cfg(feature = "async")]
pub(crate) use detached::{Begun, Detached};
pub use enter::Opened;
pub(crate) use enter::{Asking, Request, of_text};
#[cfg(feature = "async")]
pub(crate) use gather::{Gathered, gather};
pub use open::Rendering;
pub use scope::{RenderMemo, Scope};
#[cfg(all(test, not(fragcache_shuttle)))]
pub(crate) use stack::{Frames, swap};
