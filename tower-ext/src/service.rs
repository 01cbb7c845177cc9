//! The path of a request through the layer.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fragcache::engine::{self, OpenView, ViewOpened, ViewRequest};
use fragcache::events::BypassReason;
use fragcache::{FragmentKey, ReadPoint};
use http::request::Parts;
use http::{HeaderName, Method, Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::admit::Bypass;
use crate::answer::Conditions;
use crate::body::{CachedBody, Read};
use crate::cached::Settings;
use crate::cookie;
use crate::fill::{Fill, Filled};
use crate::record::Record;
use crate::status::Status;
use crate::view::CacheContext;

/// A service whose responses are cached. Built by [`CacheLayer`](crate::CacheLayer).
#[derive(Clone)]
pub struct CacheService<S> {
    pub(crate) settings: Arc<Settings>,
    pub(crate) inner: S,
}

impl<S> std::fmt::Debug for CacheService<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheService").finish_non_exhaustive()
    }
}

/// The response future of a [`CacheService`].
pub type CacheFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl<S, Q, P> Service<Request<Q>> for CacheService<S>
where
    S: Service<Request<CachedBody<Q>>, Response = Response<P>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    Q: Body<Data = Bytes> + Send + 'static,
    Q::Error: Send,
    P: Body<Data = Bytes> + Send + 'static,
    P::Error: Send,
{
    type Response = Response<CachedBody<P>>;
    type Error = S::Error;
    type Future = CacheFuture<Self::Response, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let clone = self.inner.clone();
        // `poll_ready` has readied this one, not its clone.
        let ready = std::mem::replace(&mut self.inner, clone);
        Box::pin(answer(Arc::clone(&self.settings), ready, request))
    }
}

/// The result of a cache lookup.
enum Found {
    /// The cached body and the current time.
    Kept(engine::Body, Duration),
    Run(Box<Run>),
    Pass(BypassReason),
}

/// Permission to run the handler.
pub(crate) struct Run {
    pub(crate) open: OpenView,
    pub(crate) call: ViewRequest,
    pub(crate) point: ReadPoint,
    /// The headers in the key because earlier responses varied on them.
    pub(crate) known: Vec<HeaderName>,
}

async fn answer<S, Q, P>(
    settings: Arc<Settings>,
    service: S,
    request: Request<Q>,
) -> Result<Response<CachedBody<P>>, S::Error>
where
    S: Service<Request<CachedBody<Q>>, Response = Response<P>>,
    Q: Body<Data = Bytes>,
    P: Body<Data = Bytes>,
{
    let (mut parts, body) = request.into_parts();
    cookie::join(&mut parts.headers);
    let has_body_key = settings.body_key.is_some();
    if let Some(why) = settings.admission.refuse(&parts, &settings.shape, has_body_key) {
        return pass(&settings, service, parts, CachedBody::untouched(body), why).await;
    }
    if !has_body_key && !is_empty(&body) {
        let why = BypassReason::Body.into();
        return pass(&settings, service, parts, CachedBody::untouched(body), why).await;
    }
    let (key, body) = key_of(&settings, &parts, body).await;
    let key = match key {
        Ok(key) => key,
        Err(why) => return pass(&settings, service, parts, body, why.into()).await,
    };
    if settings.unless.as_ref().is_some_and(|unless| unless(&parts)) {
        return pass(&settings, service, parts, body, BypassReason::Unless.into()).await;
    }
    let conditions = Conditions::take(&parts.method, &mut parts.headers);
    let run = match find(&settings, &key, &parts).await {
        Found::Kept(body, now) => {
            return Ok(serve(&settings, &body, &conditions, Status::Hit, Some(now)));
        }
        Found::Pass(why) => {
            let response = pass(&settings, service, parts, body, why.into()).await?;
            return Ok(conditions.shorten(response));
        }
        Found::Run(run) => *run,
    };
    let fill = Fill { settings: &settings, key: &key, run };
    match fill.run(service, parts, body).await? {
        Filled::Made(body, extensions, status) => {
            let mut response = serve(&settings, &body, &conditions, status, None);
            *response.extensions_mut() = extensions;
            Ok(response)
        }
        Filled::StaleIfError(body, now) => {
            Ok(serve(&settings, &body, &conditions, Status::StaleIfError, Some(now)))
        }
        Filled::Passed(mut response, why) => {
            Status::NotStored(why.as_str()).tell(&settings, response.headers_mut());
            Ok(conditions.shorten(response))
        }
    }
}

/// Whether the body is known to be empty.
fn is_empty<Q: Body>(body: &Q) -> bool {
    body.is_end_stream() || body.size_hint().exact() == Some(0)
}

/// The key of a request and its body. The body is read only if the key needs it.
async fn key_of<Q: Body<Data = Bytes>>(
    settings: &Settings,
    parts: &Parts,
    body: Q,
) -> (Result<FragmentKey, BypassReason>, CachedBody<Q>) {
    let Some((max, key)) = &settings.body_key else {
        return (settings.key_of(parts), CachedBody::untouched(body));
    };
    match CachedBody::read(body, *max, None).await {
        Read::Whole(bytes) => {
            let key = key(parts, &bytes).map(|key| settings.shape.finish(key, parts));
            (key.ok_or(BypassReason::Key), bytes.into())
        }
        Read::TooMuch(body) | Read::Broken(body) => (Err(BypassReason::Key), body),
    }
}

/// Looks up the response, or gets permission to run the handler.
async fn find(settings: &Settings, key: &FragmentKey, parts: &Parts) -> Found {
    let refresh = settings.refresh.as_ref().is_some_and(|refresh| refresh(parts))
        || settings.admission.is_refresh(parts);
    let call = settings.call(key).refresh(refresh);
    let longer = |names: &[HeaderName]| {
        settings.call(&settings.shape.vary_on(key.clone(), names, parts)).under(key)
    };
    if let Some(body) = call.look() {
        match Record::of(&body) {
            Some(Record::Response(_)) => return Found::Kept(body, call.unix_time()),
            Some(Record::Varies { names, .. }) => {
                if let Some(body) = longer(names).look().filter(is_response) {
                    return Found::Kept(body, call.unix_time());
                }
            }
            None => {}
        }
    }
    if parts.method == Method::HEAD {
        // The handler's response to it has no body to cache.
        return Found::Pass(BypassReason::Head);
    }
    let point = settings.cache.read_point();
    let (call, opened, known) = match call.open(point).await {
        ViewOpened::Hit(body) => match Record::of(&body) {
            Some(Record::Varies { names, .. }) => {
                let longer = longer(names);
                let opened = longer.open(point).await;
                (longer, opened, names.clone())
            }
            _ => return Found::Kept(body, call.unix_time()),
        },
        opened => (call, opened, Vec::new()),
    };
    match opened {
        ViewOpened::Hit(body) if is_response(&body) => Found::Kept(body, call.unix_time()),
        ViewOpened::Hit(_) | ViewOpened::Pass => Found::Pass(BypassReason::Refused),
        ViewOpened::Render(open) => Found::Run(Box::new(Run { open, call, point, known })),
    }
}

pub(crate) fn is_response(body: &engine::Body) -> bool {
    matches!(Record::of(body), Some(Record::Response(_)))
}

/// Answers with a cached response.
fn serve<P: Body<Data = Bytes>>(
    settings: &Settings,
    body: &engine::Body,
    conditions: &Conditions,
    status: Status,
    now: Option<Duration>,
) -> Response<CachedBody<P>> {
    let mut response = match Record::of(body) {
        Some(Record::Response(kept)) => conditions.answer(kept, now),
        // Unreachable: the caller has checked.
        _ => Response::default(),
    };
    status.tell(settings, response.headers_mut());
    response.map(CachedBody::from)
}

/// Runs the handler under a read point and caches nothing.
async fn pass<S, Q, P>(
    settings: &Settings,
    mut service: S,
    mut parts: Parts,
    body: CachedBody<Q>,
    why: Bypass,
) -> Result<Response<CachedBody<P>>, S::Error>
where
    S: Service<Request<CachedBody<Q>>, Response = Response<P>>,
    Q: Body<Data = Bytes>,
    P: Body<Data = Bytes>,
{
    why.tell(&settings.cache, &settings.shape.name);
    let point = settings.cache.read_point();
    let view = CacheContext::bypassing(&settings.cache, point, parts.extensions.get());
    parts.extensions.insert(view);
    let mut handler = pin!(async { service.call(Request::from_parts(parts, body)).await });
    let response = poll_fn(|context| point.scope(|| handler.as_mut().poll(context))).await?;
    let mut response = response.map(|body| CachedBody::untouched(body).under(point));
    Status::Bypassed(why).tell(settings, response.headers_mut());
    Ok(response)
}
