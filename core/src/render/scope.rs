//! The bounds of one render, for engines that do not expose them.

use std::cell::Cell;
use std::collections::HashSet;
use std::marker::PhantomData;

use crate::sync::{Mutex, thread_local};

use super::wait_strategy::Waited;
use super::{prefetched, stack};

thread_local! {
    static SCOPED: Cell<bool> = const { Cell::new(false) };
}

/// Marks the start of a render on this thread. Dropping it abandons every fragment that the render
/// left open, so that no caller waits for them.
///
/// ```
/// let scope = fragcache::engine::Scope::begin();
/// // … render …
/// drop(scope);
/// ```
#[derive(Debug)]
pub struct Scope {
    /// The smallest frame number of this render.
    first: u64,
    outer: bool,
    /// Stays on the thread whose stack it bounds.
    _not_send: PhantomData<*const ()>,
}

impl Scope {
    /// Starts a render on this thread.
    pub fn begin() -> Self {
        let outer = SCOPED.with(|scoped| scoped.replace(true));
        Self { first: stack::next_id(), outer, _not_send: PhantomData }
    }

    /// Returns whether a scope is open on this thread.
    pub fn is_open() -> bool {
        SCOPED.with(Cell::get)
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let _ = SCOPED.try_with(|scoped| scoped.set(self.outer));
        stack::truncate(self.first);
    }
}

/// The memory of one render: the unnamed blocks it has opened, its prefetches, and how long it has
/// waited without a result. An engine keeps one per render.
#[derive(Debug, Default)]
pub struct RenderMemo {
    unnamed: Mutex<HashSet<u64>>,
    prefetched: Mutex<Vec<prefetched::PrefetchedFor>>,
    pub(super) waited: Waited,
}

impl RenderMemo {
    /// Records an unnamed block by its number. Returns whether this render opened it before.
    ///
    /// ```
    /// let memo = fragcache::engine::RenderMemo::default();
    /// assert!(!memo.opens_again(7));
    /// assert!(memo.opens_again(7));
    /// ```
    pub fn opens_again(&self, number: u64) -> bool {
        !self.unnamed.lock().insert(number)
    }

    pub(super) fn prefetch(&self, of: prefetched::PrefetchedFor) {
        self.prefetched.lock().push(of);
    }

    pub(super) fn prefetches(&self) -> Vec<prefetched::PrefetchedFor> {
        self.prefetched.lock().clone()
    }
}
