//! A store whose calls tokio is told of.

use fragcache::store::{Capabilities, Operation, Page, Reply, Store, StoreError};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// A [`Store`] that keeps tokio's other tasks running while a task waits for it.
///
/// A cache asks its store on the thread that renders or polls, and waits for the answer. On a worker
/// of tokio's multi-threaded runtime, other tasks of that worker would wait too. Around a store,
/// this calls [`block_in_place`]: tokio hands the worker's other tasks to another thread first. That
/// covers everything that reaches the store from a task: layers, asynchronous functions, templates
/// that a handler renders, and deletions. A hit in the near level that needs no store costs nothing
/// more.
///
/// Each call that is waiting takes one of the runtime's threads for blocking work, of which there
/// are 512 unless [`max_blocking_threads`] says otherwise. When none is left, tasks wait as they
/// would without this.
///
/// On other threads, and on a runtime of one thread, a call is made as it is.
///
/// ```
/// use fragcache::testing::MemoryStore;
/// use fragcache::{FarLevel, Fragment, FragmentCache, fragment_key};
/// use fragcache_tower::BlockInPlace;
///
/// # #[tokio::main(flavor = "multi_thread", worker_threads = 1)]
/// # async fn main() -> Result<(), fragcache::Error> {
/// let store = BlockInPlace::new(MemoryStore::new());
/// let cache = FragmentCache::builder().far(FarLevel::new(store)).build()?;
/// let row = Fragment::new(fragment_key!("row", 7));
/// assert_eq!(&*cache.render(&row, || "<td>7</td>")?, "<td>7</td>");
/// # Ok(())
/// # }
/// ```
///
/// # Panics
///
/// Tokio cannot hand over the tasks of a [`LocalSet`], and panics. A cache counts that as a fault of
/// the call, so nothing is cached there: do not use this type in programs with such tasks.
///
/// [`max_blocking_threads`]: tokio::runtime::Builder::max_blocking_threads
/// [`LocalSet`]: tokio::task::LocalSet
#[derive(Debug, Clone)]
pub struct BlockInPlace<S>(S);

impl<S: Store> BlockInPlace<S> {
    /// Wraps a store.
    pub fn new(store: S) -> Self {
        Self(store)
    }
}

impl<S: Store> Store for BlockInPlace<S> {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> {
        in_place(|| self.0.run(operations))
    }

    fn scan(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, StoreError> {
        in_place(|| self.0.scan(prefix, cursor))
    }

    fn gauges(&self) -> Vec<(&'static str, u64)> {
        self.0.gauges()
    }

    fn sweep(&self) -> Result<u64, StoreError> {
        in_place(|| self.0.sweep())
    }
}

fn in_place<R>(call: impl FnOnce() -> R) -> R {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(call),
        _ => call(),
    }
}
