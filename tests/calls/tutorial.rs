//! The views of the tutorial on invalidation.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use fragcache::memoize::Function;
use fragcache::{FarLevel, Invalidation};
use fragcache_redis::RedisOptions;
use fragcache_servers::{Flavour, RedisServer};
use fragcache_tower::{CacheLayer, ResponsePolicy, path_of};
use http::{HeaderName, Method, StatusCode};
use serde_json::{Value as Json, json};

use super::site::{Given, Site, header};
use super::stage::{Memo, Stage, Told};
use super::stores::redis_on;
use super::verdict::{Verdict, different, fixed, same};
use super::views::{MINUTE, index};

const OF_THE_VIEW: &str = "a view is deleted by itself, and by its path";
const BY_TAG: &str = "a tag says what belongs together, and is no pattern";

pub(super) const CASES: &[Verdict] = &[
    fixed("post-one-served-as-post-two", posts, "a view's name is not the whole key", &[]),
    fixed("post-edit-deletes-nothing", posts, OF_THE_VIEW, &[]),
    same("post-edit-as-intended", posts),
    same("weather-expires", weather),
    same("posts-version-in-key", versioned),
    same("posts-version-goes-back", versioned),
    same("comments-invalidated-by-decorator", comments),
    same("comments-invalidated-by-list", comments),
    fixed(
        "comments-refused",
        comments,
        "what was not written deletes nothing",
        &[(5, r#"{"computed": {}}"#)],
    ),
    fixed(
        "comments-invalidated-by-prefix",
        comments,
        BY_TAG,
        &[(3, r#"{"computed": {"comments": 1}}"#)],
    ),
    same("dashboard-unless-admin", dashboard),
    fixed("dashboard-of-ann-served-to-bob", dashboard, "what a page depends on is in its key", &[]),
    fixed("dashboard-refresh-deletes-nothing", dashboard, OF_THE_VIEW, &[]),
    fixed("dashboard-unless-one", unless_one, "a condition is a condition", &[]),
    same("product-stock-version", shop),
    same("product-missing", shop),
    fixed("category-pattern-finds-nothing", categories, BY_TAG, &[(4, r#"{"returned": "tag"}"#)]),
    fixed(
        "category-pattern-finds-too-much",
        categories,
        BY_TAG,
        &[(4, r#"{"returned": "tag"}"#), (6, r#"{"body": "ink-blue 2"}"#)],
    ),
    different("category-name-is-a-pattern", categories, BY_TAG, &[(3, r#"{"returned": "tag"}"#)]),
    fixed(
        "stampede-of-views",
        || index(|view| view.expires_after(MINUTE)),
        "of several requests one runs the handler",
        &[(1, r#"{"computed": {"index": 1}}"#)],
    ),
    fixed(
        "store-is-down",
        without_a_store,
        "a deletion is no error; it is pending until the store has been told",
        &[(3, r#"{"status": 200}"#)],
    ),
    fixed(
        "dependencies-are-not-tracked",
        totals,
        "a page depends on the calls in it",
        &[(4, r#"{"body": "total 2", "computed": {"index": 1}}"#)],
    ),
];

fn redirect(to: &str) -> Response {
    (StatusCode::FOUND, [("location", to.to_owned())]).into_response()
}

fn delete(stage: &Stage, view: &str, path: &str) -> Told {
    let done = CacheLayer::new(&stage.cache(), view).delete(path);
    Ok(json!(!matches!(done, Invalidation::Absent | Invalidation::Pending)))
}

fn posts() -> Stage {
    let titles =
        BTreeMap::from([("1".to_owned(), "one".to_owned()), ("2".to_owned(), "two".to_owned())]);
    let titles = Arc::new(Mutex::new(titles));
    let (shown, edited) = (Arc::clone(&titles), Arc::clone(&titles));
    let show = move |given: &Given, _| {
        let id = given.name();
        format!("post {id}: {}", shown.lock().unwrap()[id])
    };
    let edit = move |given: &Given| {
        let id = given.parts.uri.path().split('/').nth(2).unwrap().to_owned();
        let path = path_of("/posts/{id}", &[("id", &id)]).unwrap();
        edited.lock().unwrap().insert(id, given.field("title").unwrap());
        CacheLayer::new(&given.cache, "view_post").delete(&path).eventually();
        redirect(&path)
    };
    Site::new()
        .view("/posts/{id}", "view_post", |view| view.expires_after(MINUTE), show)
        .page("/posts/{id}/edit", edit)
        .stage()
        .acts("post 1 is called new", move |_| {
            titles.lock().unwrap().insert("1".to_owned(), "new".to_owned());
        })
        .says("cache.delete('post_view_1')", |stage, _| delete(stage, "view_post", "/posts/1"))
        .says("cache.delete_cached(view_post, '/posts/1')", |stage, _| {
            delete(stage, "view_post", "/posts/1")
        })
}

fn weather() -> Stage {
    let half_an_hour = |view: CacheLayer| view.expires_after(Duration::from_secs(1800));
    let answer = |_: &Given, runs| format!("{{\"reading\":{runs}}}\n");
    Site::new().view("/weather", "get_weather", half_an_hour, answer).stage()
}

/// A list whose version is in its key.
fn versioned() -> Stage {
    let site = Site::new();
    let (version, counts) = (Arc::new(AtomicU64::new(1)), site.counts());
    let list = Arc::new(Mutex::new(vec!["first".to_owned()]));
    let (raised, lowered, shown) = (Arc::clone(&version), Arc::clone(&version), Arc::clone(&list));
    let settings = |view: CacheLayer| {
        view.expires_after(Duration::from_secs(3600)).key(move |_| {
            counts.tick("get_posts_cache_key");
            Some(format!("all_posts_v{}", version.load(Ordering::SeqCst)))
        })
    };
    let add = move |given: &Given| {
        list.lock().unwrap().push(given.field("title").unwrap());
        raised.fetch_add(1, Ordering::SeqCst);
        redirect("/posts")
    };
    site.view("/posts", "list_posts", settings, move |_, _| shown.lock().unwrap().join(", "))
        .page("/posts/new", add)
        .stage()
        .acts("the version is 1 again", move |_| lowered.store(1, Ordering::SeqCst))
}

fn comments() -> Stage {
    let stored = Arc::new(Mutex::new(vec!["hello".to_owned()]));
    let (shown, counted) = (Arc::clone(&stored), Arc::clone(&stored));
    let tagged = |text: String| (ResponsePolicy::new().tags(["comments"]), text);
    let five_minutes = |view: CacheLayer| view.expires_after(Duration::from_secs(300));
    let add = move |given: &Given| {
        let text = given.field("text").unwrap();
        match &*text {
            "spam" => return StatusCode::UNPROCESSABLE_ENTITY.into_response(),
            "" => {
                return (StatusCode::UNPROCESSABLE_ENTITY, "a comment needs text").into_response();
            }
            _ => stored.lock().unwrap().push(text),
        }
        given.cache.invalidate_tags(["comments"]).unwrap().eventually();
        redirect("/comments")
    };
    Site::new()
        .view("/comments", "comments", five_minutes, move |_, _| {
            tagged(shown.lock().unwrap().join(", "))
        })
        .view("/count", "count", five_minutes, move |_, _| {
            tagged(counted.lock().unwrap().len().to_string())
        })
        .page("/comments/new", add)
        .stage()
}

fn dashboard() -> Stage {
    let visits = Arc::new(AtomicU64::new(1));
    let shown = Arc::clone(&visits);
    let settings = |view: CacheLayer| {
        view.expires_after(Duration::from_secs(600))
            .vary_on([HeaderName::from_static("x-user")])
            .unless(|parts| header(parts, "x-user") == Some("admin"))
    };
    let refresh = move |given: &Given| {
        visits.fetch_add(1, Ordering::SeqCst);
        CacheLayer::new(&given.cache, "dashboard").delete_all().eventually();
        redirect("/dashboard")
    };
    Site::new()
        .view("/dashboard", "dashboard", settings, move |given, _| {
            format!("{} sees {}", given.header("x-user"), shown.load(Ordering::SeqCst))
        })
        .page("/refresh-stats", refresh)
        .stage()
        .says("cache.delete('dashboard')", |stage, _| delete(stage, "dashboard", "/dashboard"))
        .says("cache.delete('view//dashboard')", |stage, _| {
            delete(stage, "dashboard", "/dashboard")
        })
}

fn unless_one() -> Stage {
    let is_admin = 1;
    let settings = move |view: CacheLayer| view.unless(move |_| is_admin != 0);
    Site::new().view("/", "index", settings, |_, _| "1").stage()
}

/// Products by id: the stock, and its version.
fn shop() -> Stage {
    let stock = Arc::new(Mutex::new(BTreeMap::from([(1_u32, (3_u32, 0_u32)), (2, (9, 0))])));
    let (keyed, shown) = (Arc::clone(&stock), Arc::clone(&stock));
    let id = |path: &str| path.split('/').nth(2).unwrap().parse::<u32>().unwrap();
    let settings = |view: CacheLayer| {
        view.expires_after(Duration::from_secs(3600)).key(move |parts| {
            let id = id(parts.uri.path());
            let (_, version) = *keyed.lock().unwrap().get(&id)?;
            Some([id, version])
        })
    };
    let show = move |given: &Given, _| match shown.lock().unwrap().get(&id(given.parts.uri.path()))
    {
        Some((left, _)) => format!("{left} left").into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    };
    let buy = move |given: &Given| {
        let wanted: u32 = given.field("quantity").unwrap().parse().unwrap();
        let mut stock = stock.lock().unwrap();
        let (left, version) = stock.get_mut(&id(given.parts.uri.path())).unwrap();
        if *left < wanted {
            return "{\"message\":\"Not enough inventory\",\"success\":false}\n";
        }
        (*left, *version) = (*left - wanted, *version + 1);
        "{\"success\":true}\n"
    };
    Site::new()
        .view("/product/{id}", "show_product", settings, show)
        .page("/product/{id}/purchase", buy)
        .stage()
}

/// Pages under the tag of their category, on a server.
fn categories() -> Stage {
    let tag = |category: &str| format!("category:{category}");
    let show = move |given: &Given, runs| {
        let category = given.name();
        (ResponsePolicy::new().tags([tag(category)]), format!("{category} {runs}"))
    };
    let update = move |given: &Given| {
        let category = given.parts.uri.path().split('/').nth(2).unwrap();
        given.cache.invalidate_tags([tag(category)]).unwrap().eventually();
        redirect(&format!("/blog-category/{category}"))
    };
    Site::on(redis_on(RedisServer::start(Flavour::Redis)))
        .view("/blog-category/{category}", "category_page", |view| view, show)
        .page("/blog-category/{category}/update", update)
        .stage()
        .says("delete_cache_by_pattern(", move |stage, call| {
            let category = if call.contains("/ink*") { "ink" } else { "*" };
            stage.cache().invalidate_tags([tag(category)]).unwrap().eventually();
            Ok(json!("tag"))
        })
}

fn without_a_store() -> Stage {
    let store = RedisOptions::new("redis://127.0.0.1:1").open().unwrap();
    let title = Arc::new(Mutex::new("old"));
    let shown = Arc::clone(&title);
    let edit = move |given: &Given| {
        assert_eq!(given.parts.method, Method::POST);
        *title.lock().unwrap() = "new";
        CacheLayer::new(&given.cache, "index").delete("/").eventually();
        "saved"
    };
    Site::on(Stage::with(|builder| builder.far(FarLevel::new(store))))
        .view("/", "index", |view| view, move |_, _| *shown.lock().unwrap())
        .page("/edit", edit)
        .stage()
}

fn totals() -> Stage {
    const TOTAL: Function = Function::new("total");
    let show = |given: &Given, _| {
        let total = || json!(given.counts.tick("total"));
        format!("total {}", given.cache.memoize::<Json>(&TOTAL.call(), total))
    };
    let stage = Stage::new().memo("total", Memo::new(TOTAL).counted("total"));
    Site::on(stage).view("/", "index", |view| view, show).stage()
}
