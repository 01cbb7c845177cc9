//! The outcome of a request, as reported in `Cache-Status`: RFC 9211.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::admit::Bypass;
use crate::cached::Settings;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    Hit,
    Stored,
    /// In this process only: the shared store is unavailable.
    StoredHere,
    /// The reason.
    NotStored(&'static str),
    /// In place of an error.
    StaleIfError,
    Bypassed(Bypass),
}

impl Status {
    pub(crate) fn tell(self, settings: &Settings, headers: &mut HeaderMap) {
        if !settings.sends_cache_status {
            return;
        }
        let value = match self {
            Self::Hit => HeaderValue::from_static("fragcache; hit"),
            Self::Stored => HeaderValue::from_static("fragcache; fwd=miss; stored"),
            Self::StoredHere => {
                HeaderValue::from_static("fragcache; fwd=miss; stored; detail=store")
            }
            Self::StaleIfError => HeaderValue::from_static("fragcache; hit; detail=error"),
            Self::NotStored(why) => because("miss", why),
            Self::Bypassed(why) => because("bypass", why.as_str()),
        };
        headers.append(CACHE_STATUS, value);
    }
}

/// The handler has run; `why` is the reason why its response is not cached.
fn because(forwarded: &str, why: &str) -> HeaderValue {
    // A header name may begin with a character that no token allows: RFC 9651, 3.3.4.
    let quote = if why.starts_with(|first: char| first.is_ascii_alphabetic()) { "" } else { "\"" };
    let text = format!("fragcache; fwd={forwarded}; detail={quote}{why}{quote}");
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("fragcache"))
}
