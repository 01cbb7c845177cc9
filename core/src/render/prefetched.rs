//! Prefetches: reads from the far store, in one go, what a page is about to look up. An engine
//! stores a prefetch with its render, Rust code for the duration of a closure.

use std::cell::RefCell;
use std::sync::Arc;

use super::{Arguments, RenderMemo};
use crate::error::{Error, ErrorKind};
use crate::far::{MAX_PREFETCHED, PrefetchKey, Prefetched};
use crate::handle::Handle;
use crate::hash::HashedKey;
use crate::key::{FragmentKey, KeyEncoder, MAX_KEY_BYTES, begin_explicit};
use crate::sync::thread_local;

thread_local! {
    /// The prefetches whose closures run on this thread, innermost last.
    static OPEN: RefCell<Vec<PrefetchedFor>> = const { RefCell::new(Vec::new()) };
}

/// A prefetch of one cache.
#[derive(Debug, Clone)]
pub(super) struct PrefetchedFor {
    cache: u64,
    prefetched: Arc<Prefetched>,
}

/// The prefetches that a caller may use, newest last.
#[derive(Debug, Clone, Default)]
pub(super) struct Prefetches(Vec<Arc<Prefetched>>);

impl Prefetches {
    /// The prefetches of the render with this `memo`, and those of this thread.
    pub(super) fn of(cache: &Handle, memo: Option<&RenderMemo>) -> Self {
        if cache.far().is_none() {
            return Self::default();
        }
        let number = cache.number();
        let mut all = OPEN.with(|open| open.borrow().clone());
        if let Some(memo) = memo {
            all.extend(memo.prefetches());
        }
        Self(all.into_iter().filter(|of| of.cache == number).map(|of| of.prefetched).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Prefetched>> {
        self.0.iter().rev()
    }
}

impl RenderMemo {
    /// Reads these keys ahead for the render that the memo belongs to.
    pub(crate) fn read_ahead<A: Arguments>(
        &self,
        cache: &Handle,
        keys: impl IntoIterator<Item = A>,
    ) -> Result<(), Error> {
        let mut encoded = Vec::new();
        for arguments in keys {
            let mut key = cache.prefix().to_vec();
            begin_explicit(&mut key);
            let mut encoder = KeyEncoder::new(&mut key);
            for index in 0..arguments.len() {
                arguments.encode(index, &mut encoder).map_err(|part| {
                let message = format!(
                    "a prefetched key cannot contain a part that is {part}; prefetch the name and \
                     the vary parts as the cache block has them"
                );
                Error::new(ErrorKind::Key, message)
            })?;
            }
            encoded.push(key);
        }
        if let Some(of) = read_ahead(cache, &encoded) {
            self.prefetch(of);
        }
        Ok(())
    }
}

/// Reads these fragments from the far store together, then runs `render`, which looks them up
/// on this thread. Takes at most three round trips for all of them, instead of one or two for
/// each. For loops. Without a far store it only runs `render`.
pub(crate) fn prefetch<'k, R>(
    cache: &Handle,
    keys: impl IntoIterator<Item = &'k FragmentKey>,
    render: impl FnOnce() -> R,
) -> R {
    struct Open(bool);
    impl Drop for Open {
        fn drop(&mut self) {
            if self.0 {
                let _ = OPEN.try_with(|open| open.borrow_mut().pop());
            }
        }
    }
    let keys: Vec<Vec<u8>> = keys.into_iter().map(|key| cache.encoded(key).into()).collect();
    let of = read_ahead(cache, &keys);
    let _open = Open(of.is_some());
    if let Some(of) = of {
        OPEN.with(|open| open.borrow_mut().push(of));
    }
    render()
}

fn read_ahead(cache: &Handle, keys: &[Vec<u8>]) -> Option<PrefetchedFor> {
    let (far, near) = cache.far().zip(cache.near()).filter(|_| cache.reads())?;
    cache.fresh().settle(cache.recent());
    let usable = keys.iter().filter(|key| key.len() <= MAX_KEY_BYTES).take(MAX_PREFETCHED);
    let prefetched: Vec<PrefetchKey<'_>> = usable
        .filter_map(|key| {
            let hashed = HashedKey { hash: cache.hasher().key(key), key };
            let near = near.unverified(hashed, cache.fresh(), &|| cache.recent())?;
            Some(PrefetchKey { key, labels: cache.hasher().labels(key, None), near })
        })
        .collect();
    if prefetched.is_empty() {
        return None;
    }
    match far.prefetch(&prefetched, cache.fresh()) {
        Ok(prefetched) => {
            Some(PrefetchedFor { cache: cache.number(), prefetched: Arc::new(prefetched) })
        }
        Err(unavailable) => {
            cache.note_fault(&unavailable);
            None
        }
    }
}
