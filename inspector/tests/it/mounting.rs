//! Mounting: the hosts that the page is served under, and its address with and without a slash.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::routing::get;
use fragcache::{Fragment, FragmentCache, fragment_key};
use fragcache_inspector::Inspector;

use crate::support::{Got, form, send, send_bare};

fn cache() -> FragmentCache {
    let cache = FragmentCache::builder().stats_by_name(10).build().unwrap();
    cache.render(Fragment::new(fragment_key!("row")), || "<td>").unwrap();
    cache
}

/// A site whose guard admits everyone, as on a private network.
fn site(inspector: Inspector) -> Router {
    Router::new().nest_service("/inspector", inspector.guard(|_| true).into_router())
}

fn page() -> String {
    format!("/inspector/name?key={}", fragment_key!("row").to_hex())
}

fn with_hosts(mut request: Request<Body>, hosts: &[&'static str]) -> Request<Body> {
    request.headers_mut().remove(header::HOST);
    for host in hosts {
        request.headers_mut().append(header::HOST, HeaderValue::from_static(host));
    }
    request
}

fn get_of(address: &str) -> Request<Body> {
    Request::get(address).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_name_that_is_pointed_here_reads_and_deletes_nothing() {
    let (cache, key) = (cache(), fragment_key!("row"));
    let app = site(Inspector::new("shop", cache.clone()));
    let own = send(&app, get_of(&page())).await;
    let fields = [("token", &*own.field("token")), ("key", &*key.to_hex())];
    // The request of a browser that takes the page for one of this other site.
    let press = |hosts: &[&'static str]| {
        let mut request = form("/inspector/delete", &own.cookie(), &fields);
        let origin = HeaderValue::from_static("http://evil.example");
        request.headers_mut().insert(header::ORIGIN, origin);
        with_hosts(request, hosts)
    };
    let hosts: [&[&str]; 6] = [
        &["evil.example"],
        &["evil.example:3000"],
        &["localhost", "evil.example"],
        &["localhost.evil.example"],
        &["127.0.0.1@evil.example"],
        &[],
    ];
    for hosts in hosts {
        for path in ["/inspector", "/inspector/", "/inspector/style.css", &page()] {
            let got = send_bare(&app, with_hosts(get_of(path), hosts)).await;
            assert_refused(&got);
        }
        assert_refused(&send_bare(&app, press(hosts)).await);
        assert!(cache.contains(&key).unwrap(), "{hosts:?}");
    }
    for address in ["http://evil.example/inspector", "http://evil.example:80/inspector/"] {
        assert_refused(&send_bare(&app, get_of(address)).await);
        assert_refused(&send(&app, get_of(address)).await);
    }
    let got = send_bare(&app, get_of("http://localhost:3000/inspector")).await;
    assert_eq!(got.status, StatusCode::OK, "as HTTP/2 names it");
    assert_eq!(send_bare(&app, press(&["localhost"])).await.status, StatusCode::SEE_OTHER);
    assert!(!cache.contains(&key).unwrap());
}

fn assert_refused(got: &Got) {
    assert_eq!(got.status, StatusCode::MISDIRECTED_REQUEST, "{}", got.body);
    assert!(got.body.contains("Inspector::hosts([") && !got.body.contains("row"), "{}", got.body);
    assert_eq!((got.cookie().as_str(), got.body.lines().count()), ("", 1));
}

#[tokio::test]
async fn hosts_that_are_listed_are_served_in_place_of_the_loopback_names() {
    let app = site(Inspector::new("shop", cache()).hosts(["Admin.Shop.Example", "10.0.0.7"]));
    for host in ["admin.shop.example", "ADMIN.shop.example:8443", "10.0.0.7:80"] {
        let got = send_bare(&app, with_hosts(get_of("/inspector"), &[host])).await;
        assert_eq!(got.status, StatusCode::OK, "{host}");
    }
    for host in ["localhost", "127.0.0.1", "shop.example"] {
        let got = send_bare(&app, with_hosts(get_of("/inspector"), &[host])).await;
        assert_refused(&got);
        assert!(!got.body.to_lowercase().contains("admin"), "it tells nobody which are listed");
    }
}

#[tokio::test]
async fn whom_the_guard_does_not_let_in_learns_of_no_host_whether_it_is_listed() {
    let inspector = Inspector::new("shop", cache()).guard(|_| false);
    let app = Router::new().nest_service("/inspector", inspector.into_router());
    let refused = async |host| send_bare(&app, with_hosts(get_of("/inspector"), &[host])).await;
    let (listed, other) = (refused("localhost").await, refused("evil.example").await);
    assert_eq!(listed.status, StatusCode::FORBIDDEN);
    assert_eq!((listed.status, listed.body), (other.status, other.body));
}

#[tokio::test]
async fn it_answers_under_its_address_with_a_slash_too() {
    let inspector = |cache: &FragmentCache| {
        let guarded = Inspector::new("shop", cache.clone()).guard(|_| true);
        Router::new().nest_service("/inspector", guarded.into_router())
    };
    let (first, second) = (cache(), cache());
    let stated: Router = Router::new()
        .route("/", get(async |State(name): State<&'static str>| name))
        .nest_service("/inspector", Inspector::new("shop", cache()).guard(|_| true).into_router())
        .with_state("shop");
    for (app, base, cache) in [
        (inspector(&first), "/inspector", Some(first)),
        (Router::new().nest("/admin", inspector(&second)), "/admin/inspector", Some(second)),
        (stated, "/inspector", None),
    ] {
        for address in [base.to_owned(), format!("{base}/"), format!("{base}/?cache=shop")] {
            let got = send(&app, get_of(&address)).await;
            assert_eq!(got.status, StatusCode::OK, "{address}");
            assert!(got.header("set-cookie").contains(&format!("; Path={base};")), "{address}");
            let body = got.unslashed();
            for link in [format!("{base}/style.css"), format!("{base}/name?key=")] {
                assert!(body.contains(&format!("href=\"{link}")), "{link} in {body}");
            }
        }
        let Some(cache) = cache else { continue };
        let key = fragment_key!("row");
        let address = format!("{base}/name?key={}", key.to_hex());
        let got = send(&app, get_of(&address)).await;
        let fields = [("token", &*got.field("token")), ("key", &*key.to_hex())];
        let pressed = send(&app, form(&format!("{base}/delete"), &got.cookie(), &fields)).await;
        assert!(pressed.header("location").starts_with(&format!("{base}/name?")));
        assert!(!cache.contains(&key).unwrap(), "{base}");
    }
}
