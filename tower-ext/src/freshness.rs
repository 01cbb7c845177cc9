//! Freshness lifetime and initial age of a response: RFC 9111, 4.2.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use httpdate::HttpDate;

use crate::directives::{self, Directives, LONGEST};

/// When a response was requested and when it arrived, since the Unix epoch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) asked: Duration,
    pub(crate) came: Duration,
}

/// The freshness lifetime for a shared cache, counted from when the response was made. `None` if
/// the response does not say.
pub(crate) fn lifetime(said: &Directives, headers: &HeaderMap, times: Times) -> Option<Duration> {
    if let Some(ttl) = said.s_maxage.or(said.max_age) {
        return Some(ttl);
    }
    let ends = dates(headers, &header::EXPIRES).map(Option::unwrap_or_default);
    // The earliest of several; an invalid one counts as passed: RFC 9111, 4.2.1 and 5.3.
    let end = ends.min()?;
    let made = date(headers).unwrap_or(times.came);
    Some(end.saturating_sub(made).min(LONGEST))
}

/// The age of a response on arrival: the corrected initial age of RFC 9111, 4.2.3. A response
/// without `Age` and `Date` was made here and has age zero, however long that took.
pub(crate) fn initial_age(headers: &HeaderMap, times: Times) -> Duration {
    let apparent = date(headers).map_or(Duration::ZERO, |made| times.came.saturating_sub(made));
    let delay = times.came.saturating_sub(times.asked);
    let told = age(headers).map_or(Duration::ZERO, |age| age.saturating_add(delay));
    apparent.max(told).min(LONGEST)
}

/// `Age`: the first member if it is a list; `None` if that is invalid (RFC 9111, 5.1).
fn age(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::AGE)?.as_bytes();
    let first = value.split(|&byte| byte == b',').next()?;
    directives::seconds(std::str::from_utf8(first.trim_ascii()).ok()?)
}

/// `Date`: the oldest of several.
fn date(headers: &HeaderMap) -> Option<Duration> {
    dates(headers, &header::DATE).flatten().min()
}

/// The dates of a field, in any of the three formats of RFC 9110, 5.6.7; `None` for an invalid one.
fn dates<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Option<Duration>> + use<'a> {
    let read = |value: &HeaderValue| {
        let date: HttpDate = value.to_str().ok()?.parse().ok()?;
        SystemTime::from(date).duration_since(SystemTime::UNIX_EPOCH).ok()
    };
    headers.get_all(name).into_iter().map(read)
}

/// Sets a single `Age`, or removes it if it is zero.
pub(crate) fn set_age(headers: &mut HeaderMap, age: Duration) {
    match age.as_secs() {
        0 => headers.remove(header::AGE),
        seconds => headers.insert(header::AGE, HeaderValue::from(seconds)),
    };
}

#[cfg(test)]
#[path = "freshness_tests.rs"]
mod tests;
