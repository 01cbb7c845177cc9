//! How a caller waits: it blocks its thread, or its task is woken. The rest is shared code.

use std::future::{Future, ready};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::clock::{self, Deadline};
use crate::flight::{FlightWait, Joined};

/// How long one page has waited for other renders without a result, over all its fragments. A
/// killed process leaves a lease on each of them; a page waits for one limit in total, not one per
/// fragment. Clones belong to the same page.
#[derive(Debug, Clone, Default)]
pub(super) struct Waited(Arc<AtomicU64>);

impl Waited {
    /// What is left of a limit.
    pub(super) fn left(&self, limit: Duration) -> Duration {
        limit.saturating_sub(Duration::from_nanos(self.0.load(Ordering::Relaxed)))
    }

    /// Adds a wait without a result.
    pub(super) fn spend(&self, since: Instant) {
        let waited = clock::instant().saturating_duration_since(since).as_nanos();
        self.0.fetch_add(u64::try_from(waited).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// A way to wait.
pub(super) trait WaitStrategy {
    /// Waits for another caller's render.
    fn wait<'a>(
        waiting: FlightWait<'a>,
        deadline: Deadline,
    ) -> impl Future<Output = Joined<'a>> + Send;

    /// Sleeps for `time`.
    fn pause(time: Duration) -> impl Future<Output = ()> + Send;
}

/// Blocks the thread. Its futures are ready when they are created.
#[derive(Debug)]
pub(super) struct BlockThread;

impl WaitStrategy for BlockThread {
    fn wait<'a>(
        waiting: FlightWait<'a>,
        deadline: Deadline,
    ) -> impl Future<Output = Joined<'a>> + Send {
        ready(waiting.block(deadline))
    }

    fn pause(time: Duration) -> impl Future<Output = ()> + Send {
        clock::pause(time);
        ready(())
    }
}

/// Runs a future that waits by [`BlockThread`] only.
pub(super) fn block<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

/// Yields the task until it is woken.
#[cfg(feature = "async")]
#[derive(Debug)]
pub(super) struct YieldTask;

#[cfg(feature = "async")]
impl WaitStrategy for YieldTask {
    async fn wait<'a>(mut waiting: FlightWait<'a>, deadline: Deadline) -> Joined<'a> {
        let landing = std::future::poll_fn(|context| waiting.poll(context.waker(), false));
        let Some(end) = deadline.instant() else { return landing.await };
        match tokio::time::timeout_at(end.into(), landing).await {
            Ok(joined) => joined,
            Err(_) => std::future::poll_fn(|context| waiting.poll(context.waker(), true)).await,
        }
    }

    async fn pause(time: Duration) {
        tokio::time::sleep(time).await;
    }
}
