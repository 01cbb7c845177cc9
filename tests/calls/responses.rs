//! Which parts of a response are cached, and for which visitors.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use fragcache::Timeout;
use fragcache_tower::{CacheLayer, ResponsePolicy};
use http::{HeaderValue, StatusCode};

use super::site::{Given, Site};
use super::stage::Stage;
use super::verdict::{Verdict, absent, different, fixed, same};
use super::view_keys::X_USER;
use super::views::{MINUTE, index, site};

const STATUSES: &str = "200, 203, 301 and 308 are kept; `statuses` says otherwise";
const STREAMS: &str = "what a handler gives is a body already";

pub(super) const CASES: &[Verdict] = &[
    different(
        "statuses-are-cached",
        of_statuses,
        STATUSES,
        &[
            (4, r#"{"body": "201 3", "computed": {"index": 1}}"#),
            (5, r#"{"body": "301 4"}"#),
            (6, r#"{"body": "301 4"}"#),
            (7, r#"{"body": "404 5"}"#),
            (8, r#"{"body": "404 6", "computed": {"index": 1}}"#),
            (9, r#"{"body": "500 7"}"#),
            (10, r#"{"body": "500 8", "computed": {"index": 1}}"#),
            (11, r#"{"body": "503 9"}"#),
            (12, r#"{"body": "503 10", "computed": {"index": 1}}"#),
        ],
    ),
    different(
        "tuple-with-status",
        not_found,
        STATUSES,
        &[(2, r#"{"body": "text 2", "computed": {"index": 1}}"#)],
    ),
    different(
        "abort-is-cached",
        a_late_post,
        STATUSES,
        &[(3, r#"{"status": 200, "computed": {"index": 1}}"#)],
    ),
    same("abort-filtered", || site(|view| view, |_, _| StatusCode::NOT_FOUND)),
    fixed(
        "response-filter-is-given-a-text",
        || index(|view| view.store_if(|response| response.status == StatusCode::OK)),
        "a condition is given a response, whatever the handler returned",
        &[(1, r#"{"status": 200}"#)],
    ),
    different(
        "redirect-is-cached",
        redirecting,
        STATUSES,
        &[(2, r#"{"headers": {"location": "/of/bob"}, "computed": {"index": 1}}"#)],
    ),
    same("json-is-cached", of_json),
    absent("none-from-a-view", "a handler answers with a response"),
    same("empty-page", || site(|view| view, |_, _| "")),
    fixed(
        "set-cookie-is-shared",
        setting_a_cookie,
        "a response that sets a cookie is not kept",
        &[(
            2,
            r#"{"body": "page 2", "headers": {"set-cookie": "user=bob; Path=/"}, "computed": {"index": 1}}"#,
        )],
    ),
    absent(
        "session-is-not-stored",
        "a session is another layer's, which stands outside of this one",
    ),
    fixed(
        "authorization-is-ignored",
        of_accounts,
        "requests with Authorization pass, unless the view allows them",
        &[
            (2, r#"{"body": "of Bearer bob", "computed": {"index": 1}}"#),
            (3, r#"{"status": 401, "body": "", "computed": {"index": 1}}"#),
        ],
    ),
    fixed(
        "unauthorized-is-cached",
        of_accounts,
        "a 401 is not kept",
        &[(2, r#"{"status": 200, "computed": {"index": 1}}"#)],
    ),
    fixed(
        "order-of-login-check",
        checked,
        "a page of a request that says who asks is shown to nobody else, unless the view allows it",
        &[(4, r#"{"status": 401, "body": "", "computed": {"check_below": 1}}"#)],
    ),
    fixed(
        "vary-is-ignored",
        of_languages,
        "Vary is kept to",
        &[(2, r#"{"body": "in en", "computed": {"index": 1}}"#)],
    ),
    fixed(
        "response-cache-control-is-ignored",
        of_control,
        "Cache-Control of a response is kept to",
        &[
            (2, r#"{"body": "page 2", "computed": {"index": 1}}"#),
            (3, r#"{"body": "page 3"}"#),
            (4, r#"{"body": "page 4", "computed": {"index": 1}}"#),
            (5, r#"{"body": "page 5"}"#),
            (6, r#"{"body": "page 6", "computed": {"index": 1}}"#),
        ],
    ),
    same("request-cache-control-is-ignored", || index(|view| view)),
    fixed(
        "no-conditional-answers",
        || index(|view| view),
        "what is kept has an ETag",
        &[(2, r#"{"status": 304, "body": ""}"#)],
    ),
    fixed(
        "not-modified-is-cached",
        conditional,
        "the layer answers conditions itself; the handler makes the whole",
        &[(2, r#"{"status": 200, "body": "page 1"}"#)],
    ),
    fixed(
        "partial-answer-is-cached",
        in_parts,
        "a request for a part passes",
        &[(
            2,
            r#"{"status": 200, "body": "0123456789", "headers": {"content-range": null}, "computed": {"index": 1}}"#,
        )],
    ),
    same("headers-are-stored", of_request_ids),
    absent("generator-is-joined", STREAMS),
    same("streaming-response", || {
        site(|view| view, |_, runs| streamed(format!("part {runs} end")))
    }),
    same("streaming-response-with-context", || {
        site(|view| view, |_, runs| streamed(format!("part {runs}/")))
    }),
    same("response-over-a-list", || site(|view| view, |_, runs| format!("part {runs} end"))),
    absent("generator-fails", STREAMS),
    fixed(
        "cached-response-timeouts",
        of_seconds,
        "a response says its own timeout, also that it never expires",
        &[(8, r#"{"body": "page 3"}"#)],
    ),
    same("cached-response-negative", || {
        site(
            |view| view.expires_after(MINUTE),
            |_, runs| (ResponsePolicy::new().veto(), format!("page {runs}")),
        )
    }),
    same("after-request-runs-on-hits", counted),
    absent("side-effects-are-lost-on-hits", "what is outside of the layer reads the response"),
    absent("response-that-pickle-refuses", "a response is bytes"),
];

fn of_statuses() -> Stage {
    site(
        |view| view.expires_after(MINUTE),
        |given, runs| {
            let status: u16 = given.name().parse().unwrap();
            (StatusCode::from_u16(status).unwrap(), format!("{status} {runs}"))
        },
    )
}

fn not_found() -> Stage {
    site(|view| view, |_, runs| (StatusCode::NOT_FOUND, [("x-own", "1")], format!("text {runs}")))
}

fn a_late_post() -> Stage {
    let there = Arc::new(AtomicBool::new(false));
    let later = Arc::clone(&there);
    let answer = move |_: &Given, _| match there.load(Ordering::SeqCst) {
        true => "post".into_response(),
        false => StatusCode::NOT_FOUND.into_response(),
    };
    site(|view| view.expires_after(MINUTE), answer)
        .acts("there is a post", move |_| later.store(true, Ordering::SeqCst))
}

fn redirecting() -> Stage {
    site(
        |view| view,
        |given, _| {
            let target = format!("/of/{}", given.header("x-user"));
            (StatusCode::FOUND, [("location", target)])
        },
    )
}

fn of_json() -> Stage {
    site(
        |view| view,
        |given, runs| match given.name() {
            "list" => format!("[{runs}]\n"),
            _ => format!("{{\"n\":{runs}}}\n"),
        },
    )
}

fn setting_a_cookie() -> Stage {
    site(
        |view| view,
        |given, runs| {
            let cookie = format!("user={}; Path=/", given.header("x-user"));
            ([("set-cookie", cookie)], format!("page {runs}"))
        },
    )
}

fn of_accounts() -> Stage {
    site(
        |view| view,
        |given, _| match given.header("authorization") {
            "" => StatusCode::UNAUTHORIZED.into_response(),
            who => format!("of {who}").into_response(),
        },
    )
}

fn checked() -> Stage {
    let below = |given: &Given, _| match given.header("x-user") {
        "" => StatusCode::UNAUTHORIZED.into_response(),
        _ => "secret".into_response(),
    };
    let site = Site::new().view("/below", "check_below", |view| view, below);
    let (cache, counts) = (site.cache(), site.counts());
    // The same for all admitted requests.
    let above = CacheLayer::new(&cache, "above").allow_headers([X_USER]);
    let inside = any(site.handler(None, |_, _| "secret")).layer(above);
    let check = move |request: Request, next: Next| {
        let counts = counts.clone();
        async move {
            counts.tick("check_above");
            match request.headers().contains_key("x-user") {
                true => next.run(request).await,
                false => StatusCode::UNAUTHORIZED.into_response(),
            }
        }
    };
    site.route(|router| router.route("/above", inside.layer(from_fn(check)))).stage()
}

fn of_languages() -> Stage {
    site(
        |view| view,
        |given, _| {
            ([("vary", "Accept-Language")], format!("in {}", given.header("accept-language")))
        },
    )
}

fn of_control() -> Stage {
    site(
        |view| view,
        |given, runs| ([("cache-control", given.name().to_owned())], format!("page {runs}")),
    )
}

fn conditional() -> Stage {
    site(
        |view| view,
        |given, runs| match given.header("if-none-match") {
            "\"v1\"" => (StatusCode::NOT_MODIFIED, [("etag", "\"v1\"")]).into_response(),
            _ => ([("etag", "\"v1\"")], format!("page {runs}")).into_response(),
        },
    )
}

fn in_parts() -> Stage {
    site(
        |view| view,
        |given, _| match given.header("range") {
            "bytes=0-3" => {
                let headers = [("accept-ranges", "bytes"), ("content-range", "bytes 0-3/10")];
                (StatusCode::PARTIAL_CONTENT, headers, "0123").into_response()
            }
            _ => "0123456789".into_response(),
        },
    )
}

fn of_request_ids() -> Stage {
    site(
        |view| view,
        |given, _| ([("x-request-id", given.header("x-request-id").to_owned())], "page"),
    )
}

fn of_seconds() -> Stage {
    site(
        |view| view.expires_after(MINUTE),
        |given, runs| {
            let timeout = match given.name().parse().unwrap() {
                0 => Timeout::Never,
                seconds => Timeout::After(Duration::from_secs(seconds)),
            };
            (ResponsePolicy::new().timeout(timeout), format!("page {runs}"))
        },
    )
}

fn counted() -> Stage {
    let site = Site::new().view("/", "index", |view| view, |_, runs| format!("index {runs}"));
    let counts = site.counts();
    let count = move |request: Request, next: Next| {
        let counts = counts.clone();
        async move {
            let mut response: Response = next.run(request).await;
            let runs = HeaderValue::from(counts.tick("after_request"));
            response.headers_mut().insert("x-count", runs);
            response
        }
    };
    site.route(|router| router.layer(from_fn(count))).stage()
}

/// A body of unknown length.
struct Streamed(Option<Bytes>);

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes))))
    }
}

fn streamed(text: String) -> Body {
    Body::new(Streamed(Some(text.into())))
}
