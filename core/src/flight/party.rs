//! Parties render and wait. A party is a thread, or an asynchronous render, which has no thread of
//! its own and may be nested in another.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sync::thread_local;

/// A party that leads flights and waits for those of others. Clones are the same party.
#[derive(Clone)]
pub(crate) struct Waiter(Arc<Node>);

struct Node {
    id: u64,
    /// The asynchronous render around this one, which waits for this one to end.
    around: Option<Waiter>,
    is_thread: bool,
}

/// Threads and renders share one counter.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The thread's own party, then the asynchronous renders that it is polling, innermost last.
    static HERE: RefCell<Vec<Waiter>> = RefCell::new(vec![Waiter::new(None, true)]);
}

impl Waiter {
    fn new(around: Option<Self>, is_thread: bool) -> Self {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Self(Arc::new(Node { id, around, is_thread }))
    }

    /// The party that runs on this thread now.
    pub(crate) fn here() -> Self {
        let here = HERE.try_with(|here| here.borrow().last().cloned());
        here.ok().flatten().unwrap_or_else(|| Self::new(None, true))
    }

    /// A new asynchronous render, nested in the one that this thread is polling, if any.
    #[cfg(feature = "async")]
    pub(crate) fn task() -> Self {
        let around = Self::here();
        Self::new((!around.0.is_thread).then_some(around), false)
    }

    /// Runs a closure as this party.
    #[cfg(feature = "async")]
    pub(crate) fn run<R>(&self, run: impl FnOnce() -> R) -> R {
        struct Here;
        impl Drop for Here {
            fn drop(&mut self) {
                let _ = HERE.try_with(|here| here.borrow_mut().pop());
            }
        }
        HERE.with(|here| here.borrow_mut().push(self.clone()));
        let _here = Here;
        run()
    }

    #[cfg(feature = "async")]
    pub(super) fn id(&self) -> u64 {
        self.0.id
    }

    pub(crate) fn is_thread(&self) -> bool {
        self.0.is_thread
    }

    /// Whether this is `other` or nested in it.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.chain().any(|party| party.0.id == other.0.id)
    }

    /// The outermost render around this one, or this one itself.
    pub(super) fn root(&self) -> u64 {
        self.chain().last().map_or(self.0.id, |party| party.0.id)
    }

    fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |party| party.0.around.as_ref())
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Waiter({})", self.0.id)
    }
}
