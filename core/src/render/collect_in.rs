//! A render on a thread other than its fragment's: its dependencies are collected there, and
//! inherited later.

use super::miss::{Caller, Context, MakeBody};
use super::stack::{self, Frame, Purpose};
use crate::events::RefusalReason;
use crate::handle::Handle;
use crate::lookup::Request;

/// The dependencies of a render on another thread.
#[derive(Debug)]
pub(crate) struct Collected(pub(super) Frame);

/// Renders, and passes the dependencies to `keep`; with a veto if the render panics.
pub(crate) fn collect_in<M: MakeBody, R>(
    cache: &Handle,
    request: Request<'_>,
    context: Context<'_, M>,
    render: impl FnOnce() -> R,
    keep: impl FnOnce(Collected),
) -> R {
    struct Open<K: FnOnce(Collected)> {
        id: u64,
        keep: Option<K>,
        failed: bool,
    }
    impl<K: FnOnce(Collected)> Drop for Open<K> {
        fn drop(&mut self) {
            let frame = stack::take(self.id);
            if let (Some(mut frame), Some(keep)) = (frame, self.keep.take()) {
                if self.failed {
                    frame.veto(RefusalReason::Vetoed);
                }
                keep(Collected(frame));
            }
        }
    }
    let frame = Caller::new(cache, request, context).frame(Purpose::Print, None, None);
    let mut open = Open { id: stack::push(frame), keep: Some(keep), failed: true };
    let rendered = render();
    open.failed = false;
    rendered
}
