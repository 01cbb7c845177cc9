//! What became of a request, as `Cache-Status` tells it: RFC 9211.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::admit::Bypass;
use crate::cached::Settings;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Hit,
    Stored,
    NotStored,
    /// In place of an error.
    StoodIn,
    Bypassed(Bypass),
}

impl Status {
    pub(crate) fn tell(self, settings: &Settings, headers: &mut HeaderMap) {
        if !settings.tells_status {
            return;
        }
        let value = match self {
            Self::Hit => HeaderValue::from_static("fragcache; hit"),
            Self::Stored => HeaderValue::from_static("fragcache; fwd=miss; stored"),
            Self::NotStored => HeaderValue::from_static("fragcache; fwd=miss"),
            Self::StoodIn => HeaderValue::from_static("fragcache; hit; detail=error"),
            Self::Bypassed(why) => {
                let text = format!("fragcache; fwd=bypass; detail={}", why.as_str());
                HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("fragcache"))
            }
        };
        headers.append(CACHE_STATUS, value);
    }
}
