//! For tests of code that caches: a clock that is moved by hand, a recorder of what the cache did
//! with assertions about it, a store in this process and one that fails when it is told to. Behind the feature `testing`; nothing here belongs in a program
//! that serves users.
//!
//! ```
//! use std::time::Duration;
//! use fragcache::testing::{ManualClock, Recorder};
//! use fragcache::{Fragment, FragmentCache, fragment_key};
//!
//! let (clock, recorder) = (ManualClock::new(), Recorder::new());
//! let cache =
//!     FragmentCache::builder().clock(clock.clone()).observer(recorder.clone()).build()?;
//! let sidebar =
//!     Fragment::new(fragment_key!("sidebar", 7)).expires_after(Duration::from_secs(60));
//!
//! cache.render(&sidebar, || "<ul>")?;
//! recorder.assert_rendered_once("sidebar");
//!
//! recorder.reset();
//! cache.render(&sidebar, || "not evaluated")?;
//! recorder.assert_hit("sidebar");
//! recorder.assert_no_body_evaluated();
//!
//! clock.advance(Duration::from_secs(60));
//! cache.render(&sidebar, || "<ol>")?;
//! recorder.assert_rendered_once("sidebar");
//! # Ok::<(), fragcache::Error>(())
//! ```

mod clock;
pub mod conformance;
mod faulty;
mod memory;
mod recorder;

pub use clock::ManualClock;
pub use faulty::FaultyStore;
pub use memory::MemoryStore;
pub use recorder::{Recorded, Recorder};
