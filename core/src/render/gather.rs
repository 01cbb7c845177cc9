//! A render on another thread than the one that its fragment is open on: what it depends on is
//! gathered there, and taken over later.

use super::enter::{Asking, MakeBody};
use super::stack::{self, Frame, Purpose};
use crate::cache::FragmentCache;
use crate::observe::RefusalReason;

/// What a render on another thread depends on.
#[derive(Debug)]
pub(crate) struct Gathered(pub(super) Frame);

/// Renders, and gives what that depends on to `keep`; with a veto if it panics.
pub(crate) fn gather<M: MakeBody, R>(
    cache: &FragmentCache,
    asking: Asking<'_, M>,
    render: impl FnOnce() -> R,
    keep: impl FnOnce(Gathered),
) -> R {
    struct Open<K: FnOnce(Gathered)> {
        id: u64,
        keep: Option<K>,
        failed: bool,
    }
    impl<K: FnOnce(Gathered)> Drop for Open<K> {
        fn drop(&mut self) {
            let frame = stack::take(self.id);
            if let (Some(mut frame), Some(keep)) = (frame, self.keep.take()) {
                if self.failed {
                    frame.veto(RefusalReason::Vetoed);
                }
                keep(Gathered(frame));
            }
        }
    }
    let frame = cache.caller(asking, None).frame(Purpose::Print, None, None);
    let mut open = Open { id: stack::push(frame), keep: Some(keep), failed: true };
    let rendered = render();
    open.failed = false;
    rendered
}
