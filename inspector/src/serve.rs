//! Handles requests: checks the guard first, then the host, dispatches to a page or
//! button, and sets the headers of every response.

use std::fmt;
use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{OriginalUri, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use fragcache::FragmentCache;
use minijinja::Environment;

use crate::acts;
use crate::forms::{self, Seal, Visitor};
use crate::hosts::Hosts;
use crate::inspector::Guard;
use crate::pages;

/// State shared by all requests.
pub(crate) struct Shared {
    pub(crate) caches: Vec<(String, FragmentCache)>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) hosts: Hosts,
    pub(crate) seal: Seal,
    pub(crate) templates: Environment<'static>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("caches", &self.caches).finish_non_exhaustive()
    }
}

/// Maximum length of a form, in bytes.
const MAX_FORM: usize = 64 * 1024;

/// Fields of an address or a form, in their order.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    fn read(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// The first field of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }
}

/// The request that a page is built for.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) shared: Arc<Shared>,
    /// The path prefix of this router.
    pub(crate) base: String,
    pub(crate) query: Fields,
    pub(crate) visitor: Visitor,
}

/// The result of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    Page(StatusCode, String),
    /// A redirect to another page, by its path below the router.
    See(String),
    Style,
    Refused(StatusCode, &'static str),
    /// An error in one of our templates.
    Wrong(String),
}

/// Handles a request.
pub(crate) async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if !(shared.guard)(&parts) {
        let why = "403: the guard of this page refused the request\n";
        return dress(Answer::Refused(StatusCode::FORBIDDEN, why), "", None);
    }
    // After the guard: a request that it rejects must not reveal which hosts are listed.
    if !shared.hosts.serve(&parts) {
        let why = "421: this page is not served under this host; if it is one of yours, list it \
                   where the page is mounted: Inspector::hosts([\"shop.example\"])\n";
        return dress(Answer::Refused(StatusCode::MISDIRECTED_REQUEST, why), "", None);
    }
    let (path, base) = place(&parts);
    let visitor = Visitor::of(&parts.headers);
    let cookie = visitor.cookie(&base, &parts.headers);
    let query = Fields::read(parts.uri.query().unwrap_or_default().as_bytes());
    let visit = Visit { shared, base: base.clone(), query, visitor };
    let answer = match parts.method {
        Method::GET | Method::HEAD if path == "/style.css" => Answer::Style,
        Method::GET | Method::HEAD => made(move || pages::page(&visit, &path)).await,
        Method::POST => match form(&visit, &parts, body).await {
            Ok(form) => made(move || acts::act(&visit, &path, &form)).await,
            Err(refused) => refused,
        },
        _ => Answer::Refused(StatusCode::METHOD_NOT_ALLOWED, "405: use GET or POST\n"),
    };
    dress(answer, &base, cookie)
}

/// The path below the router, and its prefix.
fn place(parts: &Parts) -> (String, String) {
    let path = parts.uri.path();
    let original = parts.extensions.get::<OriginalUri>().map_or(path, |uri| uri.0.path());
    let below = path.trim_start_matches('/');
    let base = original.strip_suffix(below).unwrap_or_default().trim_end_matches('/');
    (format!("/{below}"), base.to_owned())
}

/// The fields of a form that this page made.
async fn form(visit: &Visit, parts: &Parts, body: Body) -> Result<Fields, Answer> {
    if !forms::is_from_here(&parts.headers, &parts.uri) {
        return Err(Answer::Refused(
            StatusCode::FORBIDDEN,
            "403: this form does not come from a page of this site\n",
        ));
    }
    let Ok(body) = to_bytes(body, MAX_FORM).await else {
        let why = "413: the form is too large\n";
        return Err(Answer::Refused(StatusCode::PAYLOAD_TOO_LARGE, why));
    };
    let form = Fields::read(&body);
    if !visit.shared.seal.holds(&visit.visitor, form.get("token").unwrap_or_default()) {
        return Err(Answer::Refused(
            StatusCode::FORBIDDEN,
            "403: this form is from another browser or from an earlier process; open the page \
             again\n",
        ));
    }
    Ok(form)
}

/// Runs `make` on a blocking thread, because it may call a store.
async fn made(make: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    tokio::task::spawn_blocking(make).await.unwrap_or(Answer::Refused(
        StatusCode::INTERNAL_SERVER_ERROR,
        "500: the page could not be rendered\n",
    ))
}

/// The headers of every response.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; \
         base-uri 'none'",
    ),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // With `no-referrer`, a browser would send `Origin: null` with the forms.
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("x-robots-tag"), "noindex"),
];

fn dress(answer: Answer, base: &str, cookie: Option<String>) -> Response<Body> {
    const TEXT: &str = "text/plain; charset=utf-8";
    const STYLE: &[u8] = include_bytes!("../templates/style.css");
    let mut location = None;
    let (status, kind, body) = match answer {
        Answer::Page(status, html) => (status, "text/html; charset=utf-8", Bytes::from(html)),
        Answer::Style => (StatusCode::OK, "text/css; charset=utf-8", Bytes::from_static(STYLE)),
        Answer::Refused(status, why) => (status, TEXT, Bytes::from_static(why.as_bytes())),
        Answer::Wrong(how) => (StatusCode::INTERNAL_SERVER_ERROR, TEXT, Bytes::from(how)),
        Answer::See(path) => {
            location = Some(format!("{base}{path}"));
            (StatusCode::SEE_OTHER, TEXT, Bytes::new())
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.extend(HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value))));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in [(header::LOCATION, location), (header::SET_COOKIE, cookie)] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(name, value);
        }
    }
    response
}
