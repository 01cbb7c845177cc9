//! Bodies that differ in length from what they declare are never cached, and count as a failure of
//! the handler. Also bodies that are longer than the cache stores.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use fragcache::{ErrorKind, FragmentCache};
use fragcache_tower::CacheLayer;
use futures_util::stream;
use http::{StatusCode, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use proptest::prelude::*;
use tower::ServiceExt;

use crate::support::{Runs, Site, get_from_site};
use crate::wire::{exchange, serve};

/// A body with its own size hint.
struct Hinted(Body, SizeHint);

impl http_body::Body for Hinted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn size_hint(&self) -> SizeHint {
        self.1
    }
}

/// A streamed body of these pieces. It panics when it is polled after its end.
fn streamed(pieces: Vec<Result<String, io::Error>>) -> Body {
    let mut pieces = Some(pieces.into_iter());
    Body::from_stream(stream::poll_fn(move |_| {
        let next = pieces.as_mut().unwrap().next();
        if next.is_none() {
            pieces = None;
        }
        Poll::Ready(next)
    }))
}

#[derive(Debug, Clone)]
struct Sent {
    pieces: Vec<String>,
    /// The lines of `Content-Length`.
    lines: Vec<String>,
    hint: Option<u64>,
}

impl Sent {
    fn response(&self) -> Response {
        let body = streamed(self.pieces.iter().cloned().map(Ok).collect());
        let hint = self.hint.map_or_else(SizeHint::default, SizeHint::with_exact);
        let mut response = Body::new(Hinted(body, hint)).into_response();
        for line in &self.lines {
            response.headers_mut().append(header::CONTENT_LENGTH, line.parse().unwrap());
        }
        response
    }

    fn text(&self) -> String {
        self.pieces.concat()
    }

    fn is_whole(&self) -> bool {
        let told = self.lines.iter().flat_map(|line| line.split(','));
        let length = self.text().len() as u64;
        told.map(str::trim).all(|told| told == length.to_string())
            && self.hint.is_none_or(|hint| hint == length)
    }
}

async fn response(site: &Site) -> Response {
    let request = get_from_site("/p").body(Body::empty()).unwrap();
    site.router.clone().oneshot(request).await.unwrap()
}

fn sent() -> impl Strategy<Value = Sent> {
    let pieces = proptest::collection::vec("[a-c]{0,3}", 0..4);
    pieces.prop_flat_map(|pieces| {
        let right = pieces.concat().len() as u64;
        let number = prop_oneof![4 => Just(right), 1 => 0..12_u64];
        let text = prop_oneof![
            6 => number.clone().prop_map(|number| number.to_string()),
            1 => (number.clone(), number.clone()).prop_map(|(a, b)| format!("{a}, {b}")),
            1 => prop_oneof![Just(String::new()), Just("x".to_owned()), Just(format!("+{right}"))],
        ];
        let lines = proptest::collection::vec(text, 0..3);
        let hint = proptest::option::of(number);
        (Just(pieces), lines, hint).prop_map(|(pieces, lines, hint)| Sent { pieces, lines, hint })
    })
}

proptest! {
    #[test]
    fn i4_a_body_is_kept_only_if_it_is_as_long_as_it_promises(sent in sent(), streams: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let responding = sent.clone();
            let site = Site::new(
                |view| if streams { view.store_streams() } else { view },
                move |_, _| responding.response(),
            );
            for _ in 0..2 {
                let answer = site.get("/p", &[]).await;
                assert_eq!((&answer.body, answer.status), (&sent.text(), StatusCode::OK));
            }
            let kept = sent.is_whole() && (streams || sent.hint.is_some());
            assert_eq!(site.runs.count(), if kept { 1 } else { 2 }, "{sent:?}");
            if !sent.is_whole() {
                // A server sees the same declared length.
                let (bare, passed) = (sent.response().into_body(), response(&site).await.into_body());
                let of = |body: &Body| (body.size_hint().exact(), body.is_end_stream());
                assert_eq!(of(&passed), of(&bare), "{sent:?}");
            }
        });
    }
}

/// The second response of a handler, and whether it counts as an answer.
type Next = (&'static str, fn() -> Response, bool);

fn with_length(length: &'static str, body: Body) -> Response {
    ([(header::CONTENT_LENGTH, length)], body).into_response()
}

fn short() -> Body {
    streamed(vec![Ok("half".to_owned())])
}

fn failing() -> Body {
    streamed(vec![Ok("half".to_owned()), Err(io::Error::other("the database went away"))])
}

const NEXT: [Next; 7] = [
    ("ends too soon", || with_length("8", short()), false),
    (
        "ends too soon by its hint",
        || Body::new(Hinted(short(), SizeHint::with_exact(8))).into_response(),
        false,
    ),
    ("goes on for too long", || with_length("3", short()), false),
    ("has two lengths", || with_length("4, 8", short()), false),
    ("fails", || failing().into_response(), false),
    ("is a server error", || StatusCode::BAD_GATEWAY.into_response(), false),
    ("is too long to be kept", || "x".repeat(100).into_response(), true),
];

#[tokio::test]
async fn a_broken_body_leaves_the_response_before_it_to_be_served_stale() {
    for (what, next, is_answer) in NEXT {
        let minute = Duration::from_secs(60);
        let settings = |view: CacheLayer| view.store_streams().max_body(50).unwrap().stale(minute);
        let site = Site::new(settings, move |_, run| match run {
            1 => "first".into_response(),
            _ => next(),
        });
        site.get("/p", &[]).await;
        site.clock.advance(minute);
        // The refreshing client gets what the handler sent, except a server error.
        let mut refreshed = response(&site).await.into_body();
        let (mut text, mut failed) = (String::new(), false);
        while let Some(frame) = refreshed.frame().await {
            match frame {
                Ok(frame) => text += std::str::from_utf8(frame.data_ref().unwrap()).unwrap(),
                Err(_) => failed = true,
            }
        }
        let expected = match what {
            "is a server error" => "first",
            "is too long to be kept" => &"x".repeat(100),
            _ => "half",
        };
        assert_eq!((&*text, failed), (expected, what == "fails"), "{what}");
        assert_eq!(site.runs.count(), 2, "{what}");
        if !is_answer {
            assert_eq!(site.get("/p", &[]).await.body, "first", "{what}");
            assert_eq!(site.runs.count(), 2, "{what}");
        } else {
            assert_ne!(site.get("/p", &[]).await.body, "first", "{what}");
        }
    }
}

#[tokio::test]
async fn a_view_stores_within_the_bounds_of_its_cache() {
    let cache = |bytes| FragmentCache::builder().max_entry_bytes(bytes).build().unwrap();
    // The headers count too, so a body has slightly less room than an entry.
    for (bytes, kept) in [(2 << 20, true), ((4 << 20) - 1000, true), (4 << 20, false)] {
        let runs = Runs::default();
        let counted = runs.clone();
        let handler = get(move || {
            counted.one_more();
            async move { vec![b'x'; bytes] }
        });
        let view = CacheLayer::new(&cache(4 << 20), "report");
        let router = Router::new().route("/", handler).layer(view);
        for _ in 0..2 {
            let request = get_from_site("/").body(Body::empty()).unwrap();
            let body = router.clone().oneshot(request).await.unwrap().into_body();
            assert_eq!(body.collect().await.unwrap().to_bytes().len(), bytes);
        }
        assert_eq!(runs.count(), if kept { 1 } else { 2 }, "{bytes}");
    }
    let of = |bytes| CacheLayer::new(&cache(1000), "report").max_body(bytes);
    assert!(of(1000).is_ok());
    let error = of(1001).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(
        error.to_string(),
        "max_body(1001) is above the 1000 bytes that the cache stores of an entry; build the cache \
         with max_entry_bytes(1001), or write at most max_body(1000)"
    );
    assert!(CacheLayer::new(&FragmentCache::disabled(), "report").max_body(4 << 20).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_sees_that_a_body_was_cut_off() {
    let site = Site::new(CacheLayer::store_streams, |_, _| with_length("8", short()));
    let twice = "GET /p HTTP/1.1\r\nhost: x\r\n\r\n".repeat(2);
    let answer = exchange(serve(site.router.clone()).await, &twice).await;
    // The client would read another response as the rest of this body.
    assert!(!answer.contains("half") || answer.ends_with("half"), "{answer}");
    assert_eq!((site.runs.count(), site.cache.stats().entries), (1, 0), "{answer}");
}
