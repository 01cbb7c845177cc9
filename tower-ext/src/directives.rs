//! Parses `Cache-Control`: RFC 9111, 5.2. Stricter than `headers::CacheControl`, which treats
//! `Private` and `private="x"` as unknown directives; such responses would be shared.

use std::time::Duration;

use http::{HeaderMap, header};

use crate::fields;

/// The longest TTL or age that is distinguished, 68 years: RFC 9111, 1.2.2.
pub(crate) const LONGEST: Duration = Duration::from_secs(1 << 31);

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
            match fields::split(value.as_bytes(), b',') {
                Some(members) => {
                    members.into_iter().filter(|it| !it.is_empty()).for_each(|it| read.add(it));
                }
                None => read.no_store = true,
            }
        }
        read
    }

    fn add(&mut self, member: &[u8]) {
        // An unreadable directive may be this one.
        let Some((name, value)) = fields::parameter(member) else {
            self.no_store = true;
            return;
        };
        // An invalid number counts as zero, and the smaller of two wins: RFC 9111, 4.2.1.
        let ttl = || seconds(&value).unwrap_or_default();
        let sooner = |known: Option<Duration>| Some(known.map_or(ttl(), |known| known.min(ttl())));
        match &*name {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache = true,
            "private" => self.private = true,
            "must-revalidate" | "proxy-revalidate" => self.must_revalidate = true,
            "max-age" => self.max_age = sooner(self.max_age),
            "s-maxage" => {
                self.s_maxage = sooner(self.s_maxage);
                // `s-maxage` implies `proxy-revalidate`: RFC 9111, 5.2.2.10.
                self.must_revalidate = true;
            }
            _ => {}
        }
    }
}

/// Parses `delta-seconds`, at most [`LONGEST`]: RFC 9111, 1.2.2.
pub(crate) fn seconds(text: &str) -> Option<Duration> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().map_or(LONGEST, Duration::from_secs).min(LONGEST))
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
        assert!(of(&["s-maxage=1"]).must_revalidate);
        assert_eq!(of(&["public, immutable, x-private, ,"]), Directives::default());
    }

    #[test]
    fn quoted_text_is_no_directive() {
        let read = of(&["max-age=1, note=\"x, s-maxage=3600, \\\", private, y\""]);
        let expected =
            Directives { max_age: Some(Duration::from_secs(1)), ..Directives::default() };
        assert_eq!(read, expected);
    }

    #[test]
    fn unreadable_directives_store_nothing() {
        for text in ["note=\"x, max-age=60", "a=b\"c, private, d\"e", "max-age=60; private x", "é"]
        {
            let read = of(&[text]);
            assert!(read.no_store || read.max_age == Some(Duration::ZERO), "{text}: {read:?}");
        }
    }

    #[test]
    fn ages_that_are_no_numbers_have_ended() {
        let ttl = |text: &str| of(&[text]).s_maxage.or(of(&[text]).max_age);
        assert_eq!(ttl("max-age=60"), Some(Duration::from_secs(60)));
        assert_eq!(ttl("max-age=60, s-maxage=\"5\""), Some(Duration::from_secs(5)));
        assert_eq!(ttl("max-age=60, max-age=5"), Some(Duration::from_secs(5)));
        for text in ["max-age", "max-age=", "max-age=x", "max-age=-1", "max-age=+1", "max-age=1.5"]
        {
            assert_eq!(ttl(text), Some(Duration::ZERO), "{text}");
        }
        for text in ["max-age=2147483648", "max-age=9999999999", &format!("max-age={}0", u64::MAX)]
        {
            assert_eq!(ttl(text), Some(LONGEST), "{text}");
        }
        assert_eq!(ttl("public"), None);
    }
}
