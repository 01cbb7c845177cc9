//! Tools for tests of code that caches: a manual clock, a recorder of cache events with assertions,
//! an in-process store, and a store that fails on demand. Requires the feature `testing`. None of
//! it belongs in a program that serves users.
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
mod record;
mod recorder;

pub use clock::ManualClock;
pub use faulty::FaultyStore;
pub use memory::MemoryStore;
#[doc(hidden)]
pub use record::check_record;
pub use recorder::{Recorded, Recorder};
