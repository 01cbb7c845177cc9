//! The TTL that a response's headers give it: a table, by the section of RFC 9111.

use std::time::Duration;

use axum::response::IntoResponse;
use fragcache::Timeout;
use fragcache_tower::ResponsePolicy;

use crate::support::Site;

type Headers = &'static [(&'static str, &'static str)];

const LONGEST: u64 = 1 << 31;

/// The clock of these tests starts at the beginning of 2026.
const ROWS: &[(&str, Headers, u64)] = &[
    ("1.2.2: 2^31 seconds stand for more", &[("cache-control", "max-age=9999999999")], LONGEST),
    ("1.2.2", &[("cache-control", "s-maxage=99999999999999999999999")], LONGEST),
    ("1.2.2", &[("cache-control", "max-age=60"), ("age", "99999999999999999999999")], 0),
    ("4.2.1: s-maxage before the rest", &[("cache-control", "max-age=1, s-maxage=9")], 9),
    ("4.2.1: max-age before Expires", &[("cache-control", "max-age=9"), ("expires", "0")], 9),
    (
        "4.2.1: Expires less Date",
        &[("date", "Thu, 01 Jan 2026 00:00:00 GMT"), ("expires", "Thu, 01 Jan 2026 00:00:30 GMT")],
        30,
    ),
    (
        "4.2.1: the life of a response that is an hour old has ended",
        &[("date", "Wed, 31 Dec 2025 23:00:00 GMT"), ("expires", "Wed, 31 Dec 2025 23:30:00 GMT")],
        0,
    ),
    ("4.2.1: no integer", &[("cache-control", "max-age=soon")], 0),
    ("4.2.1: no integer", &[("cache-control", "max-age=+60")], 0),
    ("4.2.1: two of them", &[("cache-control", "max-age=60"), ("cache-control", "max-age=5")], 5),
    ("4.2.3: Age", &[("cache-control", "max-age=60"), ("age", "50")], 10),
    (
        "4.2.3: apparent age",
        &[("cache-control", "max-age=60"), ("date", "Wed, 31 Dec 2025 23:59:10 GMT")],
        10,
    ),
    (
        "4.2.3: the greater of both",
        &[("cache-control", "max-age=60"), ("date", "Wed, 31 Dec 2025 23:59:10 GMT"), ("age", "9")],
        10,
    ),
    ("4.2.3: of the view's timeout too", &[("age", "50")], 10),
    ("4.2.3: of the view's timeout too", &[("age", "600")], 0),
    ("5.1: the first member", &[("cache-control", "max-age=60"), ("age", "50, 70")], 10),
    ("5.1: the first line", &[("cache-control", "max-age=60"), ("age", "50"), ("age", "7")], 10),
    ("5.1: an invalid one counts for nothing", &[("cache-control", "max-age=9"), ("age", "x")], 9),
    (
        "5.2: quoted text is no directive",
        &[("cache-control", "max-age=1, note=\"x, s-maxage=3600, y\"")],
        1,
    ),
    (
        "5.2: nor beside escaped quotes",
        &[("cache-control", "max-age=1, a=\"\\\", s-maxage=9\"")],
        1,
    ),
    ("5.2: both forms of an argument", &[("cache-control", "max-age=\"9\"")], 9),
    ("5.2: names in any case", &[("cache-control", "MAX-AGE=9")], 9),
    ("5.2: not of this grammar", &[("cache-control", "max-age=9, note=\"x")], 0),
    ("5.3: an invalid date has passed", &[("expires", "0")], 0),
    ("5.3", &[("expires", "-1")], 0),
    ("5.3", &[("expires", "Fri, 31 Dec 9999 23:59:59 GMT")], LONGEST),
    (
        "5.3: the soonest of two",
        &[("expires", "Fri, 31 Dec 9999 23:59:59 GMT"), ("expires", "0")],
        0,
    ),
    ("RFC 9110, 5.6.7: RFC 850's date", &[("expires", "Thursday, 01-Jan-26 00:00:30 GMT")], 30),
    ("RFC 9110, 5.6.7: asctime's date", &[("expires", "Thu Jan  1 00:00:30 2026")], 30),
];

#[tokio::test]
async fn a_response_is_kept_for_as_long_as_the_rfc_says() {
    for (section, headers, seconds) in ROWS {
        let site = Site::new(
            |view| view,
            |_, run| {
                let mut response = format!("run {run}").into_response();
                for (name, value) in *headers {
                    response.headers_mut().append(*name, value.parse().unwrap());
                }
                response
            },
        );
        site.get("/p", &[]).await;
        if *seconds > 0 {
            site.clock.advance(Duration::from_secs(seconds - 1));
            assert_eq!(site.get("/p", &[]).await.body, "run 1", "{section}: {headers:?}");
            site.clock.advance(Duration::from_secs(1));
        }
        assert_eq!(site.get("/p", &[]).await.body, "run 2", "{section}: {headers:?}");
    }
}

#[tokio::test]
async fn lives_that_no_clock_counts_are_long_ones() {
    for ttl in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_secs(LONGEST + 1)] {
        let of_view = Site::new(|view| view.expires_after(ttl), |_, run| format!("run {run}"));
        let of_terms = Site::new(
            |view| view.stale(Duration::MAX),
            move |_, run| {
                (ResponsePolicy::new().timeout(Timeout::After(ttl)), format!("run {run}"))
            },
        );
        for site in [of_view, of_terms] {
            site.get("/p", &[]).await;
            site.clock.advance(Duration::from_secs(LONGEST - 1));
            assert_eq!(site.get("/p", &[]).await.body, "run 1", "{ttl:?}");
        }
    }
}

#[tokio::test]
async fn an_age_that_a_response_came_with_goes_on() {
    let site = Site::new(
        |view| view,
        |_, run| {
            let mut response = format!("run {run}").into_response();
            for age in ["40, 3", "7"] {
                response.headers_mut().append("age", age.parse().unwrap());
            }
            response
        },
    );
    assert_eq!(site.get("/p", &[]).await.header("age"), Some("40"));
    site.clock.advance(Duration::from_secs(5));
    let answer = site.get("/p", &[]).await;
    assert_eq!((&*answer.body, answer.header("age")), ("run 1", Some("45")));
    assert_eq!(answer.headers.get_all("age").iter().count(), 1);
}
