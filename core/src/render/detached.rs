//! An asynchronous render. Its open frames are on the stack of a thread while that thread polls it,
//! and in [`Detached`] between polls.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::Duration;

use super::close::Closed;
use super::close::{Opened, close};
use super::collect_in::Collected;
use super::miss::open_with;
use super::miss::{Context, MakeBody};
use super::serve::{Begun, OpenFragment, Opens};
use super::stack::{self, Frame};
use super::wait_strategy::YieldTask;
use crate::entry::{Body, Entry};
use crate::events::RefusalReason;
use crate::flight::Waiter;
use crate::handle::Handle;
use crate::label::Label;
use crate::lookup::Request;
use crate::near::Missed;
use crate::timeout::Timeout;

/// The open fragment of an asynchronous render. Dropping it abandons the fragment, and one of the
/// followers renders instead.
#[derive(Debug)]
pub(crate) struct Detached {
    id: u64,
    party: Waiter,
    /// Empty while it is polled.
    frames: Vec<Frame>,
}

impl Opens for YieldTask {
    type Open = Detached;

    async fn open<M: MakeBody, R>(
        cache: &Handle,
        request: Request<'_>,
        context: Context<'_, M>,
        missed: Option<Missed>,
        on_hit: impl Fn(&Entry) -> R,
    ) -> Begun<R, Detached> {
        let party = Waiter::task();
        // In a box, so that the futures around it stay small: tasks keep them while a body runs, and
        // an asynchronous function may call itself.
        let opening = open_with::<Self, M, R>(cache, request, context, missed, on_hit);
        let mut opening = Box::pin(opening);
        poll_fn(|task| {
            let opened = party.run(|| opening.as_mut().poll(task));
            // In the same poll, before another task runs on this thread.
            opened.map(|opened| match opened {
                Opened::Hit(value) => Begun::Hit(value),
                Opened::Render(ticket) => {
                    let id = ticket.into_id();
                    let frames = stack::detach(id);
                    Begun::Render(Detached { id, party: party.clone(), frames })
                }
            })
        })
        .await
    }
}

/// Opens a request for a task, after a lookup that was no quick hit.
pub(crate) async fn open_detached<M: MakeBody, R>(
    cache: &Handle,
    request: Request<'_>,
    context: Context<'_, M>,
    missed: Option<Missed>,
    on_hit: impl Fn(&Entry) -> R,
) -> Begun<R, Detached> {
    YieldTask::open(cache, request, context, missed, on_hit).await
}

impl OpenFragment for Detached {
    fn add_tags(&mut self, tags: &[Box<str>]) {
        self.tag(tags);
    }

    fn run<F: Future>(&mut self, body: F) -> impl Future<Output = F::Output> {
        Self::run(self, body)
    }

    fn close(self, body: Body) -> Closed {
        Self::close(self, body)
    }

    fn close_vetoed(mut self) {
        let id = self.id;
        self.within(|| {
            stack::with_frame(id, |frame| frame.veto(RefusalReason::Vetoed));
            close(id, Body::from(""));
        });
    }
}

impl Detached {
    /// Polls the body with the frames attached.
    pub(crate) async fn run<F: Future>(&mut self, body: F) -> F::Output {
        let mut body = pin!(body);
        poll_fn(|context| self.within(|| body.as_mut().poll(context))).await
    }

    /// Closes the fragment with the rendered body.
    pub(crate) fn close(mut self, body: Body) -> Closed {
        let id = self.id;
        self.within(|| close(id, body))
    }

    /// Adds tags that were checked before.
    pub(crate) fn tag<T: AsRef<str>>(&mut self, tags: &[T]) {
        self.edit(|frame| tags.iter().for_each(|tag| frame.tag(tag.as_ref())));
    }

    /// Adds a label that the fragment depends on.
    pub(crate) fn depend_on(&mut self, label: Label) {
        self.edit(|frame| frame.inner.insert(label));
    }

    /// Vetoes the fragment.
    pub(crate) fn veto(&mut self, reason: RefusalReason) {
        self.edit(|frame| frame.veto(reason));
    }

    /// Vetoes the fragment, and leaves the stored entry in place.
    pub(crate) fn fail(&mut self) {
        self.edit(|frame| {
            frame.veto(RefusalReason::Vetoed);
            frame.is_failure = true;
        });
    }

    /// Replaces the timeout that was requested.
    pub(crate) fn set_life(&mut self, timeout: Timeout) {
        self.edit(|frame| frame.ttl = frame.cache.ttl(timeout));
    }

    /// Replaces the stale window.
    pub(crate) fn set_stale(&mut self, window: Duration) {
        self.edit(|frame| frame.options.stale = Some(window));
    }

    /// Expires the fragment `ttl` from now, unless it ends earlier.
    pub(crate) fn expire_after(&mut self, ttl: Duration) {
        self.edit(|frame| {
            let end = frame.cache.moment().saturating_after(ttl);
            frame.inner_expires = frame.inner_expires.min(end);
        });
    }

    /// Inherits what was rendered on other threads.
    pub(crate) fn inherit(&mut self, collected: Vec<Collected>) {
        self.edit(|frame| {
            for Collected(mut inner) in collected {
                frame.inherit_failed(&mut inner);
                frame.is_kept &= inner.is_kept;
            }
        });
    }

    /// Inherits the dependencies of `other`, and depends on it.
    pub(crate) fn adopt(&mut self, other: &mut Self) {
        if let Some(theirs) = other.frames.first_mut() {
            self.edit(|frame| {
                frame.inherit_failed(theirs);
                frame.is_kept &= theirs.is_kept;
            });
        }
    }

    fn edit(&mut self, edit: impl FnOnce(&mut Frame)) {
        if let Some(frame) = self.frames.first_mut() {
            edit(frame);
        }
    }

    pub(crate) fn within<R>(&mut self, run: impl FnOnce() -> R) -> R {
        struct Attached<'a>(&'a mut Detached);
        impl Drop for Attached<'_> {
            fn drop(&mut self) {
                self.0.frames = stack::detach(self.0.id);
            }
        }
        stack::attach(&mut self.frames);
        let party = self.party.clone();
        let _attached = Attached(self);
        party.run(run)
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        if !self.frames.is_empty() {
            stack::attach(&mut self.frames);
            stack::abandon(self.id);
        }
    }
}
