//! Decides which requests are answered from the cache and which responses are cached.

use std::time::Duration;

use fragcache::events::BypassReason;
use fragcache::{FragmentCache, Timeout, engine};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode, header, response};

use crate::directives::Directives;
use crate::freshness::{self, Times};
use crate::key::Shape;
use crate::terms::ResponsePolicy;

/// Why a request bypasses the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bypass {
    reason: BypassReason,
    /// The header that causes the bypass.
    header: Option<HeaderName>,
}

impl From<BypassReason> for Bypass {
    fn from(reason: BypassReason) -> Self {
        Self { reason, header: None }
    }
}

impl Bypass {
    fn by(reason: BypassReason, header: &HeaderName) -> Self {
        Self { reason, header: Some(header.clone()) }
    }

    /// The reason as written in `Cache-Status`.
    pub(crate) fn as_str(&self) -> &str {
        self.header.as_ref().map_or(self.reason.as_str(), HeaderName::as_str)
    }

    /// Reports the bypass to observers. A method that the view never answers is not reported; what
    /// the cache refused, the cache has already reported itself.
    pub(crate) fn tell(&self, cache: &FragmentCache, view: &str) {
        let header = self.header.as_ref().map(HeaderName::as_str);
        match self.reason {
            BypassReason::Method if header.is_none() => {}
            BypassReason::Refused => {}
            reason => engine::bypass_view(cache, view, reason, header),
        }
    }
}

/// Why a response is not cached, as in `Cache-Status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotKept {
    /// The handler, or a function it called, has vetoed it.
    Veto,
    Status,
    CacheControl,
    /// `max-age` or `Expires` has already passed.
    Expired,
    SetCookie,
    ContentRange,
    Vary,
    KeepIf,
    /// A redirect that may lead a client back to the address it came from: the target has the same
    /// path and query, and the key has no scheme, or the target has the key's scheme and host. Also
    /// a redirect whose target cannot be resolved.
    Redirect,
    EventStream,
    UnknownLength,
    TooLong,
    /// It has trailers, or proved too long while it was read.
    Body,
    /// It failed half-way, or differs in length from what it declares.
    Broken,
    /// Its headers cannot be encoded.
    Headers,
}

impl NotKept {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Veto => "veto",
            Self::Status => "status",
            Self::CacheControl => "cache-control",
            Self::Expired => "expired",
            Self::SetCookie => "set-cookie",
            Self::ContentRange => "content-range",
            Self::Vary => "vary",
            Self::KeepIf => "store-if",
            Self::Redirect => "redirect",
            Self::EventStream => "event-stream",
            Self::UnknownLength => "unknown-length",
            Self::TooLong => "too-long",
            Self::Body | Self::Broken => "body",
            Self::Headers => "headers",
        }
    }

    /// Whether the handler failed, in contrast to a response that is merely not cacheable.
    pub(crate) fn is_failure(self) -> bool {
        self == Self::Broken
    }
}

/// The admission rules of a view.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    /// Whether the client's `Cache-Control` is respected.
    pub(crate) respects_clients: bool,
    pub(crate) statuses: Box<[StatusCode]>,
    pub(crate) max_body: usize,
}

impl Admission {
    /// Why this request bypasses the cache. `shape` is the shape of its key; `post` is true if the
    /// key function reads bodies.
    pub(crate) fn refuse(&self, parts: &Parts, shape: &Shape, post: bool) -> Option<Bypass> {
        let has = |name: &HeaderName| parts.headers.contains_key(name);
        match parts.method {
            Method::GET | Method::HEAD => {}
            Method::POST if post => {}
            _ => return Some(BypassReason::Method.into()),
        }
        if let Some(name) = shape.names.overrides_method(&parts.headers) {
            return Some(Bypass::by(BypassReason::Method, name));
        }
        if has(&header::UPGRADE) {
            return Some(BypassReason::Upgrade.into());
        }
        if has(&header::RANGE) {
            return Some(BypassReason::Range.into());
        }
        if let Some(name) = shape.names.private(&parts.headers, &shape.headers) {
            return Some(Bypass::by(BypassReason::Private, name));
        }
        let is_refused = self.respects_clients && Directives::of(&parts.headers).no_store;
        is_refused.then(|| BypassReason::NoStore.into())
    }

    /// Whether the client demands a fresh response.
    pub(crate) fn is_refresh(&self, parts: &Parts) -> bool {
        if !self.respects_clients {
            return false;
        }
        let asked = Directives::of(&parts.headers);
        asked.no_cache || asked.max_age == Some(Duration::ZERO)
    }

    /// How a response is cached, or why it is not. `ttl` is the TTL that the view's timeout gives
    /// it; `None` is unlimited.
    pub(crate) fn keeps(
        &self,
        parts: &response::Parts,
        terms: &ResponsePolicy,
        times: Times,
        ttl: Option<Duration>,
    ) -> Result<Kept, NotKept> {
        let headers = &parts.headers;
        let said = Directives::of(headers);
        let refusals = [
            (terms.is_vetoed(), NotKept::Veto),
            (!self.statuses.contains(&parts.status), NotKept::Status),
            (said.no_store || said.no_cache || said.private, NotKept::CacheControl),
            (headers.contains_key(header::SET_COOKIE), NotKept::SetCookie),
            (headers.contains_key(header::CONTENT_RANGE), NotKept::ContentRange),
            (is_stream(headers), NotKept::EventStream),
        ];
        if let Some((_, why)) = refusals.into_iter().find(|(refused, _)| *refused) {
            return Err(why);
        }
        let varies = varies_on(headers)?;
        let age = freshness::initial_age(headers, times);
        let said_life = freshness::lifetime(&said, headers, times);
        let timeout = match (terms.given_timeout(), said_life.or(ttl)) {
            (Some(timeout), _) => Some(timeout),
            (None, Some(ttl)) if said_life.is_some() || !age.is_zero() => {
                match ttl.saturating_sub(age) {
                    Duration::ZERO => return Err(NotKept::Expired),
                    left => Some(Timeout::After(left)),
                }
            }
            (None, _) => None,
        };
        Ok(Kept { timeout, varies, must_revalidate: said.must_revalidate, age })
    }
}

/// How a response is cached.
#[derive(Debug)]
pub(crate) struct Kept {
    /// A timeout in place of the view's.
    pub(crate) timeout: Option<Timeout>,
    pub(crate) varies: Vec<HeaderName>,
    /// Never serve it stale.
    pub(crate) must_revalidate: bool,
    /// Its age on arrival.
    pub(crate) age: Duration,
}

/// Whether a body has no end and continues for as long as the client listens.
fn is_stream(headers: &HeaderMap) -> bool {
    const ENDLESS: [&[u8]; 2] = [b"text/event-stream", b"multipart/x-mixed-replace"];
    headers.get_all(header::CONTENT_TYPE).iter().any(|kind| {
        let essence = kind.as_bytes().split(|byte| b";,".contains(byte)).next().unwrap_or_default();
        ENDLESS.iter().any(|endless| essence.trim_ascii().eq_ignore_ascii_case(endless))
    })
}

/// The header names in `Vary`, sorted. `Err` for `*` or for an invalid name.
fn varies_on(headers: &HeaderMap) -> Result<Vec<HeaderName>, NotKept> {
    let mut names = Vec::new();
    // `headers::Vary` is unsuitable: it skips values that are not text.
    for value in headers.get_all(header::VARY) {
        for name in value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            match name {
                b"" => {}
                b"*" => return Err(NotKept::Vary),
                name => names.push(HeaderName::from_bytes(name).map_err(|_| NotKept::Vary)?),
            }
        }
    }
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    Ok(names)
}

/// `Content-Length`, if present: RFC 9110, 8.6. `Err` if it is not a number, or if its members
/// differ.
pub(crate) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, NotKept> {
    let mut length = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        for member in value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            let is_number = !member.is_empty() && member.iter().all(u8::is_ascii_digit);
            let text = std::str::from_utf8(member).ok().filter(|_| is_number);
            let told: u64 = text.and_then(|text| text.parse().ok()).ok_or(NotKept::Broken)?;
            if *length.get_or_insert(told) != told {
                return Err(NotKept::Broken);
            }
        }
    }
    Ok(length)
}
