//! One render of one cache block, forward: `open` reads an engine's arguments, `hit` serves a fresh
//! entry of the near level, and `miss` follows a miss through flights and the far level until there
//! is a body or a frame on this thread's `stack`. `declare` and `current` add to the frame, `close`
//! stores its body, and `annotate` shows the outcome. `serve` does all of this for Rust code;
//! `forced` replaces what is stored. Engines use it through [`engine`](crate::engine).

mod annotate;
mod arguments;
mod close;
#[cfg(feature = "async")]
mod collect_in;
pub mod current;
mod declare;
#[cfg(feature = "async")]
mod detached;
mod forced;
mod hit;
mod miss;
mod open;
mod prefetched;
mod scope;
mod serve;
mod stack;
mod wait_strategy;

pub use arguments::{Arguments, varies};
pub use close::{Closed, Opened, StoreOutcome, Ticket, abandon, close, veto};
#[cfg(feature = "async")]
pub(crate) use collect_in::{Collected, collect_in};
pub use declare::{OptionValue, add_tags, declare, expire_after};
#[cfg(feature = "async")]
pub(crate) use detached::{Detached, open_detached};
#[cfg(feature = "values")]
pub(crate) use forced::{GIVEN_ATTEMPTS, is_outrun, store_together};
#[cfg(feature = "values")]
pub(crate) use hit::quick_hit;
#[cfg(feature = "async")]
pub(crate) use hit::stale_if_error;
#[cfg(feature = "values")]
pub(crate) use miss::open;
#[cfg(feature = "values")]
pub(crate) use miss::peek;
#[cfg(feature = "values")]
pub(crate) use miss::{Context, MakeBody};
pub use open::RenderContext;
pub(crate) use open::{open_block, refuse};
pub(crate) use prefetched::prefetch;
pub use scope::{RenderMemo, Scope};
#[cfg(feature = "async")]
pub(crate) use serve::{Begun, serve_async};
pub(crate) use serve::{Content, serve};
#[cfg(all(test, not(fragcache_shuttle)))]
pub(crate) use stack::{Frames, swap};
