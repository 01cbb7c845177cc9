//! What `Cache-Control` and `Expires` say. Read with more suspicion than `headers::CacheControl`
//! reads it, which takes `Private` and `private="x"` for unknown and would let them be shared.

use std::time::{Duration, SystemTime};

use headers::{Expires, HeaderMapExt};
use http::{HeaderMap, header};

/// The directives that matter to a shared cache.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    pub(crate) no_store: bool,
    pub(crate) no_cache: bool,
    pub(crate) private: bool,
    pub(crate) must_revalidate: bool,
    pub(crate) max_age: Option<Duration>,
    pub(crate) s_maxage: Option<Duration>,
}

impl Directives {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut read = Self::default();
        for value in headers.get_all(header::CACHE_CONTROL) {
            let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
            // A comma in quotes only adds words that mean nothing, or more caution.
            text.split(',').for_each(|directive| read.add(directive));
        }
        read
    }

    fn add(&mut self, directive: &str) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        // What is no number has ended: RFC 9111, 4.2.1. So has the sooner of two.
        let life = || Duration::from_secs(value.trim().trim_matches('"').parse().unwrap_or(0));
        let sooner =
            |known: Option<Duration>| Some(known.map_or(life(), |known| known.min(life())));
        match name.trim() {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache = true,
            "private" => self.private = true,
            "must-revalidate" | "proxy-revalidate" => self.must_revalidate = true,
            "max-age" => self.max_age = sooner(self.max_age),
            "s-maxage" => self.s_maxage = sooner(self.s_maxage),
            _ => {}
        }
    }

    /// How long a response may be kept by a shared cache; `None` if it does not say.
    pub(crate) fn life(&self, headers: &HeaderMap, now: Duration) -> Option<Duration> {
        if let Some(life) = self.s_maxage.or(self.max_age) {
            return Some(life);
        }
        headers.get(header::EXPIRES)?;
        let expires: Option<Expires> = headers.typed_get();
        let end = expires
            .and_then(|end| SystemTime::from(end).duration_since(SystemTime::UNIX_EPOCH).ok());
        // An invalid date has passed: RFC 9111, 5.3.
        Some(end.map_or(Duration::ZERO, |end| end.saturating_sub(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Directives {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CACHE_CONTROL, value.parse().unwrap());
        }
        Directives::of(&headers)
    }

    #[test]
    fn directives_are_found_in_any_form() {
        for text in ["private", "Private", "public, PRIVATE", "private=\"x-user, y\"", " private "]
        {
            assert!(of(&[text]).private, "{text}");
        }
        assert!(of(&["public", "No-Store"]).no_store);
        assert!(of(&["no-cache=\"set-cookie\""]).no_cache);
        assert!(of(&["Proxy-Revalidate"]).must_revalidate);
        assert_eq!(of(&["public, immutable, x-private"]), Directives::default());
    }

    #[test]
    fn ages_that_are_no_numbers_have_ended() {
        let life = |text: &str| of(&[text]).life(&HeaderMap::new(), Duration::ZERO);
        assert_eq!(life("max-age=60"), Some(Duration::from_secs(60)));
        assert_eq!(life("max-age=60, s-maxage=\"5\""), Some(Duration::from_secs(5)));
        assert_eq!(life("max-age=60, max-age=5"), Some(Duration::from_secs(5)));
        for text in ["max-age", "max-age=", "max-age=x", "max-age=-1", "max-age=1.5"] {
            assert_eq!(life(text), Some(Duration::ZERO), "{text}");
        }
        assert_eq!(life("public"), None);
    }

    #[test]
    fn expires_counts_without_an_age() {
        let mut headers = HeaderMap::new();
        headers.insert(header::EXPIRES, "Thu, 01 Jan 1970 00:01:40 GMT".parse().unwrap());
        let life = |at| Directives::of(&headers).life(&headers, Duration::from_secs(at));
        assert_eq!(life(40), Some(Duration::from_secs(60)));
        assert_eq!(life(400), Some(Duration::ZERO));
        headers.insert(header::EXPIRES, "0".parse().unwrap());
        assert_eq!(Directives::default().life(&headers, Duration::ZERO), Some(Duration::ZERO));
    }
}
