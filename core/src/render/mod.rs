//! One render of one cache block, from its arguments to a stored entry: `open` looks up and, on a
//! miss, puts a frame on this thread's stack; `stack` holds the frames and closes them. Engines
//! reach it through [`engine`](crate::engine).

mod arguments;
mod close;
mod open;
mod scope;
mod stack;

pub use arguments::Arguments;
pub use close::{Closed, Ticket, abandon, close, veto};
pub use open::Opened;
pub(crate) use open::Request;
pub use scope::{RenderMemo, Scope};
#[cfg(all(test, not(fragcache_shuttle)))]
pub(crate) use stack::{Frames, swap};
