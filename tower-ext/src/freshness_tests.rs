//! Compares freshness with a reference implementation of RFC 9111, 4.2, in whole seconds.

use std::time::{Duration, SystemTime};

use fragcache::{FragmentCache, Timeout};
use http::{HeaderMap, Response, header};
use proptest::prelude::*;

use super::*;
use crate::admit::NotKept;
use crate::{CacheLayer, ResponsePolicy};

const NOW: u64 = 1_767_225_600;
const LONGEST_SECONDS: u64 = 1 << 31;
const OF_THE_VIEW: u64 = 60;

/// The TTL that this layer gives to a response with these headers that took `delay` seconds.
fn kept(headers: &HeaderMap, delay: u64) -> Result<u64, NotKept> {
    let view = CacheLayer::new(&FragmentCache::in_memory(), "view");
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.headers = headers.clone();
    let times = Times { asked: Duration::from_secs(NOW - delay), came: Duration::from_secs(NOW) };
    let ttl = Some(Duration::from_secs(OF_THE_VIEW));
    let admission = &view.settings.admission;
    let kept = admission.keeps(&parts, &ResponsePolicy::new(), times, ttl)?;
    match kept.timeout {
        None => Ok(OF_THE_VIEW),
        Some(Timeout::After(left)) => Ok(left.as_secs()),
        Some(other) => panic!("{other:?}"),
    }
}

/// A number as written in a header.
#[derive(Debug, Clone)]
enum Number {
    Of(u64),
    Huge(&'static str),
    Invalid(&'static str),
}

impl Number {
    fn text(&self) -> String {
        match self {
            Self::Of(number) => number.to_string(),
            Self::Huge(text) | Self::Invalid(text) => (*text).to_owned(),
        }
    }

    fn value(&self) -> Option<u64> {
        match self {
            Self::Of(number) => Some((*number).min(LONGEST_SECONDS)),
            Self::Huge(_) => Some(LONGEST_SECONDS),
            Self::Invalid(_) => None,
        }
    }
}

#[derive(Debug, Clone)]
enum Directive {
    MaxAge(Number, bool),
    SMaxAge(Number, bool),
    /// A directive that forbids shared caches to store the response.
    Forbids(&'static str),
    Means(&'static str),
}

impl Directive {
    fn text(&self) -> String {
        let of = |name: &str, number: &Number, is_quoted: bool| match is_quoted {
            true => format!("{name}=\"{}\"", number.text()),
            false => format!("{name}={}", number.text()),
        };
        match self {
            Self::MaxAge(number, is_quoted) => of("Max-Age", number, *is_quoted),
            Self::SMaxAge(number, is_quoted) => of("s-maxage", number, *is_quoted),
            Self::Forbids(text) | Self::Means(text) => (*text).to_owned(),
        }
    }
}

/// A date in one of the three formats, this many seconds from now.
#[derive(Debug, Clone, Copy)]
struct Date(i64, usize);

impl Date {
    fn seconds(self) -> i64 {
        NOW.cast_signed() + self.0
    }

    fn text(self) -> String {
        let at = Duration::from_secs(self.seconds().cast_unsigned());
        let text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + at);
        let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        let [weekday, day, month, year, time, _] = words[..] else { panic!("{text}") };
        let weekdays =
            ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
        let whole = weekdays.into_iter().find(|whole| whole.starts_with(weekday)).unwrap();
        match self.1 {
            0 => text,
            1 => format!("{whole}, {day}-{month}-{} {time} GMT", &year[2..]),
            _ => format!("{weekday} {month} {:>2} {time} {year}", day.trim_start_matches('0')),
        }
    }
}

#[derive(Debug, Clone)]
struct Said {
    control: Vec<Vec<Directive>>,
    age: Vec<Vec<Number>>,
    date: Vec<Date>,
    expires: Vec<Option<Date>>,
    delay: u64,
}

impl Said {
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut add = |name, text: String| {
            headers.append(name, text.parse().unwrap());
        };
        let join = |members: Vec<String>| members.join(" , ");
        for line in &self.control {
            add(header::CACHE_CONTROL, join(line.iter().map(Directive::text).collect()));
        }
        for line in &self.age {
            add(header::AGE, join(line.iter().map(Number::text).collect()));
        }
        self.date.iter().for_each(|date| add(header::DATE, date.text()));
        for end in &self.expires {
            add(header::EXPIRES, end.map_or("0".to_owned(), Date::text));
        }
        headers
    }

    /// RFC 9111, 4.2.1 and 4.2.3; `None` if the response is not stored.
    fn reference(&self) -> Option<u64> {
        let directives = || self.control.iter().flatten();
        if directives().any(|it| matches!(it, Directive::Forbids(_))) {
            return None;
        }
        let shared = directives().filter_map(|it| match it {
            Directive::SMaxAge(number, _) => Some(number.value().unwrap_or(0)),
            _ => None,
        });
        let any = directives().filter_map(|it| match it {
            Directive::MaxAge(number, _) => Some(number.value().unwrap_or(0)),
            _ => None,
        });
        let now = NOW.cast_signed();
        let date = self.date.iter().map(|date| date.seconds()).min();
        let ends = self.expires.iter().map(|end| end.map_or(0, Date::seconds));
        let by_end = |end: i64| u64::try_from(end - date.unwrap_or(now)).unwrap_or(0);
        let lifetime = shared.min().or_else(|| any.min()).or_else(|| ends.min().map(by_end));
        let apparent = date.map_or(0, |date| u64::try_from(now - date).unwrap_or(0));
        let told = self.age.first().and_then(|line| line.first()).and_then(Number::value);
        let current = apparent.max(told.map_or(0, |age| age + self.delay));
        let lifetime = lifetime.unwrap_or(OF_THE_VIEW).min(LONGEST_SECONDS);
        (lifetime > current.min(LONGEST_SECONDS)).then(|| lifetime - current)
    }
}

fn number() -> impl Strategy<Value = Number> {
    let huge = ["4294967296", "9999999999", "18446744073709551616", "99999999999999999999999"];
    let invalid = ["", "x", "-1", "+1", "1.5", "0x10", "1 2"];
    prop_oneof![
        6 => (0_u64..120).prop_map(Number::Of),
        1 => prop::sample::select(huge.to_vec()).prop_map(Number::Huge),
        1 => prop::sample::select(invalid.to_vec()).prop_map(Number::Invalid),
    ]
}

fn directive() -> impl Strategy<Value = Directive> {
    let forbids = [
        "private",
        "PRIVATE",
        "private=\"set-cookie, x\"",
        "no-store",
        "No-Cache",
        "no-cache=\"a, b\"",
        "note=\"x",
        "a=b\"c",
        "two words",
    ];
    let means = [
        "public",
        "immutable",
        "",
        "note=\"x, s-maxage=3600, y\"",
        "note=\"private\"",
        "note=\"\\\", no-store, \\\"\"",
        "x-private",
        "ext=a/b",
        "note=\"max-age=0\"",
    ];
    prop_oneof![
        3 => (number(), any::<bool>()).prop_map(|(number, quoted)| Directive::MaxAge(number, quoted)),
        2 => (number(), any::<bool>()).prop_map(|(number, quoted)| Directive::SMaxAge(number, quoted)),
        1 => prop::sample::select(forbids.to_vec()).prop_map(Directive::Forbids),
        4 => prop::sample::select(means.to_vec()).prop_map(Directive::Means),
    ]
}

fn date() -> impl Strategy<Value = Date> {
    (-120_i64..120, 0_usize..3).prop_map(|(offset, form)| Date(offset, form))
}

fn said() -> impl Strategy<Value = Said> {
    let control = prop::collection::vec(prop::collection::vec(directive(), 0..3), 0..3);
    let age = prop::collection::vec(prop::collection::vec(number(), 1..3), 0..3);
    let dates = prop::collection::vec(date(), 0..3);
    let expires = prop::collection::vec(prop::option::weighted(0.9, date()), 0..3);
    (control, age, dates, expires, 0_u64..5).prop_map(|(control, age, date, expires, delay)| Said {
        control,
        age,
        date,
        expires,
        delay,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn freshness_is_that_of_the_reference(said in said()) {
        let headers = said.headers();
        prop_assert_eq!(kept(&headers, said.delay).ok(), said.reference(), "{:?}", headers);
    }
}

#[test]
fn a_response_that_was_made_here_just_now_has_no_age() {
    assert_eq!(kept(&HeaderMap::new(), 1_000), Ok(OF_THE_VIEW));
    let mut headers = HeaderMap::new();
    headers.insert(header::AGE, HeaderValue::from_static("nonsense"));
    set_age(&mut headers, Duration::from_millis(900));
    assert!(!headers.contains_key(header::AGE));
    set_age(&mut headers, Duration::from_secs(70));
    assert_eq!(headers[header::AGE], "70");
}
