//! Serves what is stored, or runs a body and stores its result: one sequence for fragments and
//! calls, of threads and of tasks.

use std::future::Future;
use std::sync::Arc;

use super::close::Closed;
use super::close::{Opened, Ticket};
use super::hit::{quick_hit, stale_if_error};
use super::miss::open_with;
use super::miss::{Context, MakeBody};
use super::wait_strategy::{BlockThread, WaitStrategy, block};
use crate::entry::{Body, Entry, EntrySource};
use crate::events::{EventKind, MissReason, RefusalReason};
use crate::handle::Handle;
use crate::lookup::{QuickLookup, Request};
use crate::near::Missed;

/// What is served: how a value is read from a body and written to one.
pub(crate) trait Content {
    /// The value that a caller gets.
    type Value;

    /// Makes a body of a store's bytes; `None` if they are not a valid body.
    fn of_bytes(bytes: Vec<u8>) -> Option<Body>;

    /// `None` if the body is not a value of this type.
    fn read(body: Body) -> Option<Self::Value>;

    /// `None` if the value cannot be stored.
    fn write(value: &Self::Value) -> Option<Body>;
}

/// What opening a fragment yields: what is stored, or the open fragment to render.
pub(crate) enum Begun<R, O> {
    Hit(R),
    Render(O),
}

/// An open fragment. Dropping it abandons the fragment.
pub(super) trait OpenFragment {
    /// Adds tags that were checked before.
    fn add_tags(&mut self, tags: &[Box<str>]);

    /// Runs the body inside the fragment.
    fn run<F: Future>(&mut self, body: F) -> impl Future<Output = F::Output>;

    /// Closes the fragment with the rendered body.
    fn close(self, body: Body) -> Closed;

    /// Closes the fragment without a result that could be stored. Followers render for themselves.
    fn close_vetoed(self);
}

/// How a caller opens a fragment, by how it waits.
pub(super) trait Opens: WaitStrategy {
    type Open: OpenFragment;

    fn open<M: MakeBody, R>(
        cache: &Handle,
        request: Request<'_>,
        context: Context<'_, M>,
        missed: Option<Missed>,
        on_hit: impl Fn(&Entry) -> R,
    ) -> impl Future<Output = Begun<R, Self::Open>>;
}

/// Returns the stored value of this lookup, or runs `body` and stores its value. An error of the
/// body passes through unchanged, unless a stale value may be served in its place. `source` is what
/// a miss needs.
#[inline]
pub(crate) fn serve<C: Content, E>(
    cache: &Handle,
    quick: &QuickLookup<'_>,
    source: impl FnOnce() -> Arc<EntrySource>,
    tags: &[Box<str>],
    body: impl FnOnce() -> Result<C::Value, E>,
) -> Result<C::Value, E> {
    match stored::<C>(cache, quick) {
        Ok(value) => Ok(value),
        Err(missed) => serve_missed::<C, E>(cache, quick, missed, &source(), tags, body),
    }
}

/// Apart from [`serve`], so that a hit makes no room for it.
#[inline(never)]
fn serve_missed<C: Content, E>(
    cache: &Handle,
    quick: &QuickLookup<'_>,
    missed: Unserved,
    source: &Arc<EntrySource>,
    tags: &[Box<str>],
    body: impl FnOnce() -> Result<C::Value, E>,
) -> Result<C::Value, E> {
    let body = async move { body() };
    block(render::<BlockThread, C, E>(cache, quick.request(source), tags, missed, body))
}

/// As [`serve`], for a task.
#[cfg(feature = "async")]
pub(crate) async fn serve_async<C: Content, E>(
    cache: &Handle,
    quick: &QuickLookup<'_>,
    source: impl FnOnce() -> Arc<EntrySource>,
    tags: &[Box<str>],
    body: impl Future<Output = Result<C::Value, E>>,
) -> Result<C::Value, E> {
    use super::wait_strategy::YieldTask;
    match stored::<C>(cache, quick) {
        Ok(value) => Ok(value),
        Err(missed) => {
            let source = &source();
            let request = quick.request(source);
            // In a box, so that the future of a hit is small enough to be moved at no cost.
            Box::pin(render::<YieldTask, C, E>(cache, request, tags, missed, body)).await
        }
    }
}

/// Why the near level served nothing.
enum Unserved {
    /// It was not asked.
    Unasked,
    Missed(Missed),
    /// What it has is no value of the type.
    Unreadable,
}

/// The value that the near level has.
#[inline]
fn stored<C: Content>(cache: &Handle, quick: &QuickLookup<'_>) -> Result<C::Value, Unserved> {
    match quick_hit(cache, quick, |entry| entry.body.clone()) {
        Some(Ok(body)) => C::read(body).ok_or(Unserved::Unreadable),
        Some(Err(missed)) => Err(Unserved::Missed(missed)),
        None => Err(Unserved::Unasked),
    }
}

/// Reports a stored body that is no value of its type, and makes this request replace it.
fn replace_unreadable(cache: &Handle, request: &mut Request<'_>) {
    request.options.refresh = true;
    let missed = EventKind::Miss(MissReason::Unreadable);
    cache.emit(missed, Some(request.hashed.key), request.source);
}

async fn render<P: Opens, C: Content, E>(
    cache: &Handle,
    mut request: Request<'_>,
    tags: &[Box<str>],
    unserved: Unserved,
    body: impl Future<Output = Result<C::Value, E>>,
) -> Result<C::Value, E> {
    let context = Context::new(&C::of_bytes);
    let stored = |entry: &Entry| entry.body.clone();
    let (mut missed, mut is_replaced) = (None, false);
    match unserved {
        Unserved::Missed(found) => missed = Some(found),
        Unserved::Unreadable => replace_unreadable(cache, &mut request),
        Unserved::Unasked => {}
    }
    // One call of `open` for both rounds: a function may call itself a hundred times, and each call
    // of an asynchronous one needs the room of all futures in here.
    let mut open = loop {
        match P::open(cache, request, context, missed.take(), stored).await {
            Begun::Render(open) => break open,
            Begun::Hit(_) if is_replaced => return body.await,
            Begun::Hit(stored) => match C::read(stored) {
                Some(value) => return Ok(value),
                None => {
                    replace_unreadable(cache, &mut request);
                    is_replaced = true;
                }
            },
        }
    };
    open.add_tags(tags);
    match open.run(body).await {
        Ok(value) => {
            match C::write(&value) {
                Some(body) => drop(open.close(body)),
                None => {
                    let refused = EventKind::Refused(RefusalReason::Value);
                    cache.emit(refused, Some(request.hashed.key), request.source);
                    open.close_vetoed();
                }
            }
            Ok(value)
        }
        Err(error) => {
            drop(open);
            stale_if_error(cache, &request).and_then(C::read).ok_or(error)
        }
    }
}

impl Opens for BlockThread {
    type Open = Ticket;

    async fn open<M: MakeBody, R>(
        cache: &Handle,
        request: Request<'_>,
        context: Context<'_, M>,
        missed: Option<Missed>,
        on_hit: impl Fn(&Entry) -> R,
    ) -> Begun<R, Ticket> {
        match open_with::<Self, M, R>(cache, request, context, missed, on_hit).await {
            Opened::Hit(value) => Begun::Hit(value),
            Opened::Render(ticket) => Begun::Render(ticket),
        }
    }
}

impl OpenFragment for Ticket {
    fn add_tags(&mut self, tags: &[Box<str>]) {
        self.tag(tags);
    }

    fn run<F: Future>(&mut self, body: F) -> impl Future<Output = F::Output> {
        body
    }

    fn close(self, body: Body) -> Closed {
        Self::close(self, body)
    }

    fn close_vetoed(self) {
        Self::close_vetoed(self);
    }
}
