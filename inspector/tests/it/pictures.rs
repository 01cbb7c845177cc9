//! The layout of the pages: on a desktop and on a phone, light and dark, with much
//! data and with none. They must not scroll sideways or cut off text.
//! `FRAGCACHE_PICTURES` names a folder for screenshots.

use std::time::Duration;

use fragcache::engine::view_key;
use fragcache::memoize::Function;
use fragcache::testing::{ManualClock, MemoryStore};
use fragcache::values::SetOptions;
use fragcache::{FarLevel, Fragment, FragmentCache, FragmentKey, fragment_key};
use fragcache_inspector::Inspector;
use fragcache_servers::Browser;

use crate::browser::{picture, served};

const STARS: Function = Function::new("shop::reviews::average_stars");
const BALANCE: Function = Function::new("shop::accounts::Account::balance");

fn view(path: &str) -> FragmentKey {
    view_key("shop::product", path)
}

/// An hour of a shop.
fn busy(cache: &FragmentCache, clock: &ManualClock) {
    let render = |key: FragmentKey, millis: u64, bytes: usize, tags: &[&str]| {
        let fragment = Fragment::new(key).tags(tags.iter().copied());
        let fragment = fragment.expires_after(Duration::from_secs(600));
        let body = || {
            clock.advance(Duration::from_millis(millis));
            "<li>&amp;</li>\n".repeat(bytes / 15 + 1)
        };
        cache.render(&fragment, body).unwrap();
    };
    for minute in 0..60_u64 {
        // Quiet, then a rush, then a lull.
        let visits = if (20..24).contains(&minute) { 0 } else { 2 + minute * minute % 23 };
        for visit in 0..visits {
            let user = (minute * 7 + visit * visit) % 40;
            render(fragment_key!("sidebar", user, "en"), 12, 900, &["nav", "users"]);
            render(fragment_key!("home"), 85, 14_000, &["products"]);
            for product in 0..8 {
                let product = (user + product) % 60;
                render(fragment_key!("product-card", product), 3, 700, &["products"]);
            }
            render(fragment_key!("search", format!("query {minute} {visit}")), 40, 5_000, &[]);
            render(view(&format!("/product/{user}")), 6, 9_000, &["products"]);
            cache.memoize(&STARS.call().arg(&user), || {
                clock.advance(Duration::from_millis(9));
                4.5
            });
            let rate = cache.values().get::<f64>("exchange-rate");
            if rate.is_none() {
                let keep =
                    SetOptions::new().expires_after(Duration::from_secs(900)).tags(["rates"]);
                cache.values().set_with("exchange-rate", &1.0834, &keep).unwrap();
            }
            cache.memoize(&BALANCE.of(&user).call().arg("EUR"), || format!("{user}.00 € & more"));
        }
        if minute % 15 == 7 {
            cache.invalidate_tags(["products"]).unwrap().eventually();
        }
        let next = Duration::from_secs((minute + 1) * 60);
        clock.advance(next.saturating_sub(cache.stats_by_name().unwrap().covers));
    }
    let long = "a-fragment-whose-name-nobody-ever-thought-of-shortening-and-that-never-breaks-";
    render(
        fragment_key!(long.repeat(3), "and what it varies on, ".repeat(10)),
        2,
        300,
        &[&"a-tag-of-many-letters-".repeat(6), "<b>tag</b>"],
    );
    let tenant = cache.namespace("tenant:a-rather-long-name-for-a-tenant").namespace("beta");
    tenant.render(Fragment::new(fragment_key!("sidebar", 1, "en")), || "<nav>").unwrap();
    for number in 0..70 {
        render(FragmentKey::new(format!("report-{number:03}")), 30 + number, 2_000, &["reports"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_fit_a_desk_and_a_phone_in_light_and_dark() {
    let clock = ManualClock::new();
    let builder = || FragmentCache::builder().clock(clock.clone());
    let shop = builder().stats_by_name(500).far(FarLevel::new(MemoryStore::new())).build().unwrap();
    busy(&shop, &clock);
    let blog = builder().build().unwrap();
    blog.render(Fragment::new(fragment_key!("post", 7)), || "<article>").unwrap();
    let caches = [("shop", shop), ("blog, without statistics by name", blog)];
    let empty = builder().stats_by_name(10).build().unwrap();
    let [first, second] = caches;
    let inspector = Inspector::new(first.0, first.1).with(second.0, second.1);
    let site = served(inspector.with("idle", empty)).await;
    tokio::task::spawn_blocking(move || look(&site)).await.unwrap();
}

fn look(site: &str) {
    let of = |key: FragmentKey| format!("/name?cache=shop&key={}", key.bare().to_hex());
    let long = "a-fragment-whose-name-nobody-ever-thought-of-shortening-and-that-never-breaks-";
    let pages = [
        ("overview", String::new()),
        ("names", "/names?cache=shop".to_owned()),
        ("functions", "/names?cache=shop&kind=function&sort=spent".to_owned()),
        ("nothing-found", "/names?cache=shop&q=nowhere".to_owned()),
        ("name", of(fragment_key!("sidebar"))),
        ("name-long", of(fragment_key!(long.repeat(3)))),
        ("loss", of(fragment_key!("search"))),
        ("function", of(BALANCE.of(&1).call().key().unwrap())),
        ("view", of(view("/"))),
        ("value", of(FragmentCache::disabled().values().key("exchange-rate"))),
        ("idle", "?cache=idle".to_owned()),
        ("idle-names", "/names?cache=idle".to_owned()),
        ("no-names", "?cache=blog,+without+statistics+by+name".to_owned()),
        ("missing", "/name?key=00".to_owned()),
    ];
    let mut browser = Browser::start();
    for (width, height) in [(1280, 900), (390, 800)] {
        for dark in [false, true] {
            browser.window(width, height, dark);
            for (name, page) in &pages {
                browser.open(&format!("{site}/inspector{page}"));
                let wide = browser.evaluate("document.documentElement.scrollWidth");
                assert_eq!(wide, width, "{name} scrolls sideways");
                let hidden = browser.evaluate(CUT_OFF);
                assert_eq!(hidden, "", "{name} at {width} cuts text off");
                let shade = if dark { "dark" } else { "light" };
                picture(&mut browser, &format!("{name}-{width}-{shade}"));
            }
        }
    }
}

/// The first text that extends beyond the window or its own box.
const CUT_OFF: &str = "[...document.querySelectorAll('main *, header *, footer *')].filter(e => {
    const r = e.getBoundingClientRect();
    if (!r.width || e.closest('.hidden, .skip, svg, pre')) return false;
    return r.right > innerWidth + 1 || e.scrollWidth > e.clientWidth + 1 && e.clientWidth
        && getComputedStyle(e).overflowX !== 'visible' && e.tagName !== 'INPUT';
}).map(e => e.tagName + ': ' + e.textContent.slice(0, 80)).join('; ')";
