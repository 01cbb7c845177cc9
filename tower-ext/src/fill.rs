//! Runs the handler and caches its response.

use std::time::Duration;

use bytes::Bytes;
use fragcache::engine::{self, OpenView, StoreOutcome, ViewOpened};
use fragcache::{FragmentKey, Timeout};
use http::request::Parts;
use http::{Extensions, HeaderName, Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::admit::{Kept, NotKept, content_length};
use crate::answer;
use crate::body::{CachedBody, Read};
use crate::cached::Settings;
use crate::freshness::{self, Times};
use crate::host;
use crate::record::Record;
use crate::service::{Run, is_response};
use crate::status::Status;
use crate::terms::ResponsePolicy;
use crate::view::CacheContext;

/// A run of the handler, to fill the cache.
pub(crate) struct Fill<'a> {
    pub(crate) settings: &'a Settings,
    /// The key without the headers that responses vary on.
    pub(crate) key: &'a FragmentKey,
    pub(crate) run: Run,
}

/// The result of the run.
pub(crate) enum Filled<P: Body> {
    /// A cacheable response, its extensions for the layers outside, and the store outcome.
    Made(engine::Body, Extensions, Status),
    /// A stale response in place of an error, and the current time.
    StaleIfError(engine::Body, Duration),
    /// A response that is not cached, and the reason.
    Passed(Response<CachedBody<P>>, NotKept),
}

impl Fill<'_> {
    pub(crate) async fn run<S, Q, P>(
        mut self,
        mut service: S,
        mut parts: Parts,
        body: CachedBody<Q>,
    ) -> Result<Filled<P>, S::Error>
    where
        S: Service<Request<CachedBody<Q>>, Response = Response<P>>,
        Q: Body<Data = Bytes>,
        P: Body<Data = Bytes>,
    {
        let asked = parts.clone();
        let began = self.run.call.unix_time();
        parts.extensions.insert(CacheContext::of(self.run.open.collector()));
        // The work of `call` itself, before its future is polled, is inside the response too.
        let handler = async { service.call(Request::from_parts(parts, body)).await };
        let response = match self.run.open.run(handler).await {
            Ok(response) if !response.status().is_server_error() => response,
            failed => {
                // Another request may have recorded meanwhile what responses vary on.
                if let Some(body) = self.run.call.stale_if_error().filter(is_response) {
                    return Ok(Filled::StaleIfError(body, self.run.call.unix_time()));
                }
                failed?
            }
        };
        Ok(self.settle(response, &asked, began).await)
    }

    async fn settle<P: Body<Data = Bytes>>(
        mut self,
        response: Response<P>,
        asked: &Parts,
        began: Duration,
    ) -> Filled<P> {
        let (mut parts, body) = response.into_parts();
        let admission = &self.settings.admission;
        let terms = parts.extensions.get::<ResponsePolicy>().cloned().unwrap_or_default();
        let now = self.run.call.unix_time();
        let times = Times { asked: began, came: now };
        let store_if = &self.settings.store_if;
        let kept = admission.keeps(&parts, &terms, times, self.run.call.ttl()).and_then(|kept| {
            if store_if.as_ref().is_some_and(|store_if| !store_if(&parts)) {
                return Err(NotKept::KeepIf);
            }
            let (scheme, query) =
                (self.settings.scheme_in_key(asked), self.settings.query_in_key());
            if host::sends_back(asked, scheme, query, &parts) {
                return Err(NotKept::Redirect);
            }
            let length = content_length(&parts.headers)?;
            match body.size_hint().exact() {
                Some(length) if length > admission.max_body as u64 => Err(NotKept::TooLong),
                None if !self.settings.streams => Err(NotKept::UnknownLength),
                _ => Ok((kept, length)),
            }
        });
        let (kept, length) = match kept {
            Ok(kept) => kept,
            Err(why) => {
                let response = Response::from_parts(parts, CachedBody::untouched(body));
                return self.pass(response, why);
            }
        };
        // A body may render while it is read.
        let reading = CachedBody::read(body, admission.max_body, length);
        let body = match self.run.open.run(reading).await {
            Read::Whole(body) => body,
            Read::TooMuch(body) => {
                return self.pass(Response::from_parts(parts, body), NotKept::Body);
            }
            Read::Broken(body) => {
                return self.pass(Response::from_parts(parts, body), NotKept::Broken);
            }
        };
        answer::strip(&mut parts.headers);
        freshness::set_age(&mut parts.headers, kept.age);
        answer::tag(&mut parts.headers, &body);
        let record = Record::response(now, parts.status, &parts.headers, &body);
        let Some(record) = record.map(engine::Body::opaque) else {
            return self.pass(Response::from_parts(parts, body.into()), NotKept::Headers);
        };
        // An invalid tag prevents storing, and is counted.
        let _ = self.run.open.add_tags(terms.given_tags());
        set_life(&mut self.run.open, &kept);
        let health = self.settings.cache.health();
        let is_away = health.store.is_some() && !health.is_reachable;
        let status = match self.store(&kept, record.clone(), asked).await {
            StoreOutcome::Stored if is_away => Status::StoredHere,
            StoreOutcome::Stored => Status::Stored,
            StoreOutcome::Refused(reason) => Status::NotStored(reason.as_str()),
            // The cache is disabled, or this request did not wait for another one.
            _ => Status::NotStored("uncached"),
        };
        Filled::Made(record, parts.extensions, status)
    }

    /// Passes a response on without caching it.
    fn pass<P: Body<Data = Bytes>>(
        self,
        response: Response<CachedBody<P>>,
        why: NotKept,
    ) -> Filled<P> {
        let Run { mut open, point, .. } = self.run;
        if response.status().is_server_error() || why.is_failure() {
            // The stored response stays, and may be served stale.
            open.fail();
        }
        give_up(open);
        Filled::Passed(response.map(|body| body.under(point)), why)
    }

    /// Stores a response under its key, including the headers that it varies on.
    async fn store(self, kept: &Kept, record: engine::Body, asked: &Parts) -> StoreOutcome {
        let Self { settings, key, run: Run { mut open, point, known, .. } } = self;
        let in_key =
            |name: &&HeaderName| !known.contains(name) && !settings.shape.headers.contains(name);
        let mut names: Vec<HeaderName> = kept.varies.iter().filter(in_key).cloned().collect();
        if names.is_empty() {
            return open.close(record).outcome;
        }
        let mut outcome = StoreOutcome::Printed;
        let mut open = match known.is_empty() {
            true => {
                let longer = settings.shape.vary_on(key.clone(), &names, asked);
                // The result of this run is newer than any stored one.
                let longer = settings.call(&longer).refresh(true);
                if let ViewOpened::Render(mut inner) = open.run(longer.open(point)).await {
                    inner.adopt(&mut open);
                    set_life(&mut inner, kept);
                    outcome = inner.close_within(&mut open, record).outcome;
                }
                open
            }
            false => {
                // It varies on headers that were not known: from now on they are in the key too.
                give_up(open);
                names.extend(known);
                names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
                match settings.call(key).refresh(true).open(point).await {
                    ViewOpened::Render(open) => open,
                    ViewOpened::Hit(_) | ViewOpened::Pass => return outcome,
                }
            }
        };
        open.set_timeout(Timeout::Never);
        open.close(engine::Body::opaque(Record::varies(&names)));
        outcome
    }
}

fn set_life(open: &mut OpenView, kept: &Kept) {
    if let Some(timeout) = kept.timeout {
        open.set_timeout(timeout);
    }
    if kept.must_revalidate {
        open.set_stale(Duration::ZERO);
    }
}

/// Gives up the fill: waiting requests run the handler themselves.
fn give_up(mut open: OpenView) {
    open.veto();
    open.close(engine::Body::from(""));
}
