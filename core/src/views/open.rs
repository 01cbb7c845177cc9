//! Opening a response: the stored one, or the right and the duty to produce it.

use std::future::Future;
use std::time::Duration;

use super::collect_in::CollectedSet;
use super::{Collector, ViewRequest};
use crate::entry::{Body, Entry};
use crate::error::Error;
use crate::events::RefusalReason;
use crate::read_point::ReadPoint;
use crate::render::{Begun, Closed, Context, Detached, open_detached, quick_hit};
use crate::tag;
use crate::timeout::Timeout;

/// What a layer is to do.
#[derive(Debug)]
// Exhaustive, so that no layer overlooks a case.
pub enum ViewOpened {
    /// Answer with this.
    Hit(Body),
    /// Run the handler, then close.
    Render(OpenView),
    /// Run the handler; its response cannot be stored.
    Pass,
}

/// The right and the duty to produce one response. Dropping it abandons the response: one of the
/// followers produces it instead.
#[derive(Debug)]
pub struct OpenView {
    detached: Detached,
    collector: Collector,
    collected: CollectedSet,
}

impl ViewRequest {
    /// Returns what the near level may serve as it is.
    pub fn look(&self) -> Option<Body> {
        let body = |entry: &Entry| entry.body.clone();
        quick_hit(&self.cache.handle, &self.owned.request().quick(), body)?.ok()
    }

    /// Looks up the response, waits for another caller that is producing it, or grants the right to
    /// produce it. `point` must not be later than any read of the handler.
    pub async fn open(&self, point: ReadPoint) -> ViewOpened {
        let timeout = self.owned.options.timeout;
        if timeout.validate().is_err() {
            self.refuse(RefusalReason::Timeout);
            return ViewOpened::Pass;
        }
        let body = |entry: &Entry| entry.body.clone();
        let context = Context { point: Some(point), ..Context::new(&self.make) };
        let request = self.owned.request();
        match open_detached(&self.cache.handle, request, context, None, body).await {
            Begun::Hit(body) => ViewOpened::Hit(body),
            Begun::Render(mut detached) => {
                self.under.into_iter().for_each(|label| detached.depend_on(label));
                let collected = CollectedSet::default();
                let collector = Collector::new(self, point, &collected);
                ViewOpened::Render(OpenView { detached, collector, collected })
            }
        }
    }
}

impl OpenView {
    /// Runs the handler. What it renders on the threads that poll it is inside the response.
    pub async fn run<F: Future>(&mut self, handler: F) -> F::Output {
        self.detached.run(handler).await
    }

    /// Returns the collector for what the handler renders on other threads.
    pub fn collector(&self) -> Collector {
        self.collector.clone()
    }

    /// Adds tags.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Tag`](crate::ErrorKind::Tag) for an unusable tag, or too many. The response is
    /// not stored then, because one of its dependencies is missing.
    pub fn add_tags<T: AsRef<str>>(&mut self, tags: &[T]) -> Result<(), Error> {
        let checked = tag::check_count(tags.len())
            .and_then(|()| tags.iter().try_for_each(|text| tag::check(text.as_ref())));
        match &checked {
            Ok(()) => self.detached.tag(tags),
            Err(_) => self.detached.veto(RefusalReason::Tag),
        }
        checked
    }

    /// Replaces the timeout that was requested. Zero and [`Timeout::Delete`] prevent the response
    /// from being stored.
    pub fn set_timeout(&mut self, timeout: Timeout) {
        match timeout {
            Timeout::Delete => self.detached.veto(RefusalReason::Vetoed),
            timeout if timeout.validate().is_err() => {
                self.detached.veto(RefusalReason::Timeout);
            }
            timeout => self.detached.set_life(timeout),
        }
    }

    /// Expires the response `ttl` from now, unless its timeout ends it earlier.
    pub fn expire_after(&mut self, ttl: Duration) {
        self.detached.expire_after(ttl);
    }

    /// Replaces the stale window.
    pub fn set_stale(&mut self, window: Duration) {
        self.detached.set_stale(window);
    }

    /// Vetoes the response: it is not stored. Followers run the handler themselves, and for a
    /// moment new callers do not wait for each other.
    pub fn veto(&mut self) {
        self.detached.veto(RefusalReason::Vetoed);
    }

    /// Like [`veto`](Self::veto), for a handler that failed: the stored response stays, and may be
    /// served within its stale window. After a plain veto it may not, because the new response
    /// replaced it.
    pub fn fail(&mut self) {
        self.detached.fail();
    }

    /// Inherits the dependencies of the response around this one, and depends on its key: both come
    /// from the same run of a handler.
    pub fn adopt(&mut self, around: &mut Self) {
        around.settle();
        self.detached.adopt(&mut around.detached);
    }

    /// Closes with the response.
    pub fn close(mut self, body: Body) -> Closed {
        self.settle();
        self.detached.close(body)
    }

    /// Closes with the response, inside another one that is still open.
    pub fn close_within(mut self, around: &mut Self, body: Body) -> Closed {
        self.settle();
        let detached = self.detached;
        around.detached.within(|| detached.close(body))
    }

    fn settle(&mut self) {
        let (collected, is_all) = self.collected.take();
        self.detached.inherit(collected);
        if !is_all {
            self.detached.veto(RefusalReason::Unscoped);
        }
    }
}
