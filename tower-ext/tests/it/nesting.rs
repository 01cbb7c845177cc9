//! What is rendered for a response is inside it: fragments, functions and read points, on the
//! handler's task and on other threads.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use fragcache::events::{EventKind, RefusalReason};
use fragcache::testing::{ManualClock, Recorder};
use fragcache::{Fragment, FragmentCache, fragment_key};
use fragcache_tower::{CacheContext, CacheLayer};
use minijinja::{Environment, context};
use tower::ServiceExt;

use crate::support::{Runs, cache, get_from_site};

#[derive(Clone)]
struct App {
    env: Arc<Environment<'static>>,
    runs: Runs,
}

fn app(cache: &FragmentCache) -> App {
    let mut env = Environment::new();
    fragcache_minijinja::add_to_environment(&mut env, cache.clone()).unwrap();
    let page = "{% cache 300, 'row', tags=['row'] %}row {{ run }}{% endcache %}";
    fragcache_minijinja::add_template(&mut env, "page", page).unwrap();
    App { env: Arc::new(env), runs: Runs::default() }
}

fn render(app: &App) -> String {
    let run = app.runs.one_more();
    app.env.get_template("page").unwrap().render(context! { run }).unwrap()
}

async fn inline(State(app): State<App>) -> String {
    tokio::task::yield_now().await;
    render(&app)
}

async fn blocking(State(app): State<App>, view: CacheContext) -> String {
    tokio::task::spawn_blocking(move || view.scope(|| render(&app))).await.unwrap()
}

#[cfg(feature = "tokio")]
async fn pooled(State(app): State<App>, view: CacheContext) -> String {
    view.blocking(move || render(&app)).await.unwrap()
}

async fn body(router: &Router, path: &str) -> String {
    use http_body_util::BodyExt;
    let request = get_from_site(path).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn i3_deleting_a_fragment_deletes_the_responses_that_it_is_in() {
    #[cfg(feature = "tokio")]
    let paths = ["/inline", "/blocking", "/pooled"];
    #[cfg(not(feature = "tokio"))]
    let paths = ["/inline", "/blocking"];
    for path in paths {
        let cache = cache(&ManualClock::new());
        let app = app(&cache);
        let router = Router::new().route("/inline", get(inline)).route("/blocking", get(blocking));
        #[cfg(feature = "tokio")]
        let router = router.route("/pooled", get(pooled));
        let router = router
            .layer(CacheLayer::new(&cache, "page").expires_after(Duration::from_secs(600)))
            .with_state(app.clone());
        for _ in 0..2 {
            assert_eq!(body(&router, path).await, "row 1", "{path}");
        }
        assert_eq!(app.runs.count(), 1, "{path}");
        cache.delete(&fragment_key!("row")).eventually();
        assert_eq!(body(&router, path).await, "row 2", "{path}");
        cache.invalidate_tags(["row"]).unwrap().eventually();
        assert_eq!(body(&router, path).await, "row 3", "{path}");
        assert_eq!(body(&router, path).await, "row 3", "{path}");
    }
}

#[tokio::test]
async fn a_response_expires_with_its_fragments() {
    let clock = ManualClock::new();
    let cache = cache(&clock);
    let app = app(&cache);
    let router = Router::new()
        .route("/", get(blocking))
        .layer(CacheLayer::new(&cache, "page").expires_after(Duration::from_secs(3600)))
        .with_state(app.clone());
    body(&router, "/").await;
    clock.advance(Duration::from_secs(300));
    body(&router, "/").await;
    assert_eq!(app.runs.count(), 2);
}

#[tokio::test]
async fn a_veto_in_a_fragment_keeps_the_response_from_being_kept() {
    let cache = cache(&ManualClock::new());
    let runs = Runs::default();
    let (counted, rendering) = (runs.clone(), cache.clone());
    let handler = move || {
        counted.one_more();
        let cache = rendering.clone();
        async move {
            let form = Fragment::new(fragment_key!("form"));
            let token = || {
                fragcache::current::veto();
                "token"
            };
            cache.render(&form, token).unwrap().to_string()
        }
    };
    let router: Router =
        Router::new().route("/", get(handler)).layer(CacheLayer::new(&cache, "page"));
    body(&router, "/").await;
    body(&router, "/").await;
    assert_eq!(runs.count(), 2);
}

#[tokio::test]
async fn i1_fragments_of_a_request_are_as_old_as_the_request_whether_its_response_is_kept_or_not() {
    for kept in [true, false] {
        let cache = cache(&ManualClock::new());
        let (changing, runs) = (cache.clone(), Runs::default());
        let counted = runs.clone();
        let handler = move || {
            let (cache, run) = (changing.clone(), counted.one_more());
            async move {
                let price = run; // read
                tokio::task::yield_now().await;
                if run == 1 {
                    cache.invalidate_tags(["price"]).unwrap().eventually(); // and changed meanwhile
                }
                let row = Fragment::new(fragment_key!("price")).tags(["price"]);
                cache.render(&row, || format!("price {price}")).unwrap().to_string()
            }
        };
        let view = CacheLayer::new(&cache, "page").unless(move |_| !kept);
        let router: Router = Router::new().route("/", get(handler)).layer(view);
        assert_eq!(body(&router, "/").await, "price 1");
        assert!(!cache.contains(&fragment_key!("price")).unwrap(), "kept: {kept}");
        assert_eq!(body(&router, "/").await, "price 2");
    }
}

/// Omits the scope.
async fn unscoped(State(app): State<App>, _view: CacheContext) -> String {
    tokio::task::spawn_blocking(move || render(&app)).await.unwrap()
}

#[tokio::test]
async fn i1_a_handler_that_takes_a_view_and_opens_no_scope_is_counted_and_not_kept() {
    let recorder = Recorder::new();
    let cache = FragmentCache::builder().observer(recorder.clone()).build().unwrap();
    let app = app(&cache);
    let router = Router::new()
        .route("/", get(unscoped))
        .layer(CacheLayer::new(&cache, "page").cache_status())
        .with_state(app.clone());
    assert_eq!(body(&router, "/").await, "row 1");
    cache.invalidate_tags(["row"]).unwrap().eventually();
    assert_eq!(body(&router, "/").await, "row 2");
    let request = get_from_site("/").body(Body::empty()).unwrap();
    let again = router.clone().oneshot(request).await.unwrap();
    assert_eq!(again.headers()["cache-status"], "fragcache; fwd=miss; detail=unscoped");
    let refused = EventKind::Refused(RefusalReason::Unscoped);
    assert_eq!(recorder.events().into_iter().filter(|seen| seen.kind == refused).count(), 3);
}

#[cfg(feature = "tokio")]
#[test]
fn i1_a_response_that_does_not_wait_for_what_it_renders_is_not_kept() {
    let cache = cache(&ManualClock::new());
    let runs = Runs::default();
    let handler = move |view: CacheContext| {
        let run = runs.one_more();
        async move {
            view.scope(|| ());
            let slow = view.blocking(|| "slow".to_owned());
            tokio::select! {
                biased;
                slow = slow => slow.unwrap(),
                () = std::future::ready(()) => format!("without, {run}"),
            }
        }
    };
    let router: Router =
        Router::new().route("/", get(handler)).layer(CacheLayer::new(&cache, "page"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        // The only blocking thread is busy: the slow render has not even started.
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let taken = tokio::task::spawn_blocking(move || gate.recv());
        for run in 1..=2 {
            assert_eq!(body(&router, "/").await, format!("without, {run}"));
        }
        release.send(()).unwrap();
        taken.await.unwrap().unwrap();
    });
}

#[tokio::test]
async fn i1_a_body_that_ends_before_the_scope_that_writes_it_is_not_kept() {
    let cache = cache(&ManualClock::new());
    let (release, gate) = std::sync::mpsc::channel::<()>();
    let gate = Arc::new(std::sync::Mutex::new(gate));
    let (rendering, runs) = (cache.clone(), Runs::default());
    let handler = move |view: CacheContext| {
        let (gate, cache, run) = (Arc::clone(&gate), rendering.clone(), runs.one_more());
        async move {
            let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
            std::thread::spawn(move || {
                view.scope(|| {
                    let row = Fragment::new(fragment_key!("row", run)).tags(["row"]);
                    let text = cache.render(&row, || format!("row {run}")).unwrap().to_string();
                    sender.send(Ok::<_, Infallible>(text)).unwrap();
                    drop(sender);
                    gate.lock().unwrap().recv().unwrap();
                });
            });
            let next = |mut receiver: tokio::sync::mpsc::UnboundedReceiver<_>| async {
                receiver.recv().await.map(|text| (text, receiver))
            };
            Body::from_stream(futures_util::stream::unfold(receiver, next))
        }
    };
    let view = CacheLayer::new(&cache, "page").store_streams();
    let router: Router = Router::new().route("/", get(handler)).layer(view);
    assert_eq!(body(&router, "/").await, "row 1");
    release.send(()).unwrap();
    cache.invalidate_tags(["row"]).unwrap().eventually();
    assert_eq!(body(&router, "/").await, "row 2");
    release.send(()).unwrap();
}

/// Renders on another thread, in the cache of its view.
async fn named(view: CacheContext, run: u64) -> String {
    let scope = view.clone();
    let row = move || {
        let row = Fragment::new(fragment_key!("row")).tags(["row"]);
        view.cache().render(&row, || format!("row {run}")).unwrap().to_string()
    };
    tokio::task::spawn_blocking(move || scope.scope(row)).await.unwrap()
}

#[tokio::test]
async fn i3_what_a_view_around_one_that_is_bypassed_renders_elsewhere_is_inside_it() {
    for bypassed in [true, false] {
        let cache = cache(&ManualClock::new());
        let (part, runs) = (cache.namespace("part"), Runs::default());
        let counted = runs.clone();
        let handler = move |view: CacheContext| named(view, counted.one_more());
        let inner = CacheLayer::new(&part, "inner").unless(move |_| bypassed);
        let router = Router::new()
            .route("/", get(handler).layer(inner))
            .layer(CacheLayer::new(&cache, "outer"));
        for _ in 0..2 {
            assert_eq!(body(&router, "/").await, "row 1", "bypassed: {bypassed}");
        }
        assert_eq!(runs.count(), 1, "bypassed: {bypassed}");
        let row = fragment_key!("row");
        let found = [part.contains(&row).unwrap(), cache.contains(&row).unwrap()];
        assert_eq!(found, [true, false], "the cache of the inner layer, bypassed: {bypassed}");
        part.invalidate_tags(["row"]).unwrap().eventually();
        assert_eq!(body(&router, "/").await, "row 2", "bypassed: {bypassed}");
    }
}

#[tokio::test]
async fn i1_fragments_rendered_elsewhere_are_as_old_as_the_request_that_bypasses_their_cache() {
    let (outer, inner) = (cache(&ManualClock::new()), cache(&ManualClock::new()));
    let changing = inner.clone();
    let handler = move |view: CacheContext| {
        changing.invalidate_tags(["row"]).unwrap().eventually();
        named(view, 1)
    };
    let bypassed = CacheLayer::new(&inner, "inner").unless(|_| true);
    let router: Router = Router::new()
        .route("/", get(handler).layer(bypassed))
        .layer(CacheLayer::new(&outer, "outer"));
    assert_eq!(body(&router, "/").await, "row 1");
    let row = fragment_key!("row");
    assert!(!inner.contains(&row).unwrap() && !outer.contains(&row).unwrap());
}

#[tokio::test]
async fn a_handler_without_the_layer_is_an_error() {
    let router: Router = Router::new().route("/", get(|_: CacheContext| async { "never" }));
    assert_eq!(body(&router, "/").await, "no fragcache_tower::CacheLayer is around this route");
}
