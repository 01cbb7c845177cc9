//! Which requests are answered from the cache, and which of the answers are kept.

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
    /// The header that makes it do so.
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

    /// As in `Cache-Status`.
    pub(crate) fn as_str(&self) -> &str {
        self.header.as_ref().map_or(self.reason.as_str(), HeaderName::as_str)
    }

    /// Tells observers of it. A method that the view never answers is no news, and of what the cache
    /// refused it has told itself.
    pub(crate) fn tell(&self, cache: &FragmentCache, view: &str) {
        let header = self.header.as_ref().map(HeaderName::as_str);
        match self.reason {
            BypassReason::Method if header.is_none() => {}
            BypassReason::Refused => {}
            reason => engine::bypass_view(cache, view, reason, header),
        }
    }
}

/// Why a response is not kept, as in `Cache-Status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotKept {
    /// The handler, or what it called, said so.
    Veto,
    Status,
    CacheControl,
    /// `max-age` or `Expires` leave it no time.
    Expired,
    SetCookie,
    ContentRange,
    Vary,
    KeepIf,
    /// It sends clients to the path and query that they asked for, and the key has no scheme, or the
    /// one that it sends them to, with the same host; or nobody knows where it sends them.
    Redirect,
    EventStream,
    UnknownLength,
    TooLong,
    /// It has trailers, or turned out too long.
    Body,
    /// It failed half-way, or is not as long as it says.
    Broken,
    /// Its headers cannot be kept.
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
            Self::KeepIf => "keep-if",
            Self::Redirect => "redirect",
            Self::EventStream => "event-stream",
            Self::UnknownLength => "unknown-length",
            Self::TooLong => "too-long",
            Self::Body | Self::Broken => "body",
            Self::Headers => "headers",
        }
    }

    /// Whether the handler has failed, and not answered.
    pub(crate) fn is_failure(self) -> bool {
        self == Self::Broken
    }
}

/// What a view accepts.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    /// Whether what clients say in `Cache-Control` counts.
    pub(crate) heeds_clients: bool,
    pub(crate) statuses: Box<[StatusCode]>,
    pub(crate) max_body: usize,
}

impl Admission {
    /// Why this request bypasses the cache. `shape` is that of its key, `post` is whether the key
    /// function reads bodies.
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
        let is_refused = self.heeds_clients && Directives::of(&parts.headers).no_store;
        is_refused.then(|| BypassReason::NoStore.into())
    }

    /// Whether the client insists on a new answer.
    pub(crate) fn is_refresh(&self, parts: &Parts) -> bool {
        if !self.heeds_clients {
            return false;
        }
        let asked = Directives::of(&parts.headers);
        asked.no_cache || asked.max_age == Some(Duration::ZERO)
    }

    /// How long a response is kept, or why it is not. `life` is what the view's timeout gives it, `None`
    /// for ever.
    pub(crate) fn keeps(
        &self,
        parts: &response::Parts,
        terms: &ResponsePolicy,
        times: Times,
        life: Option<Duration>,
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
        let timeout = match (terms.given_timeout(), said_life.or(life)) {
            (Some(timeout), _) => Some(timeout),
            (None, Some(life)) if said_life.is_some() || !age.is_zero() => {
                match life.saturating_sub(age) {
                    Duration::ZERO => return Err(NotKept::Expired),
                    left => Some(Timeout::After(left)),
                }
            }
            (None, _) => None,
        };
        Ok(Kept { timeout, varies, must_revalidate: said.must_revalidate, age })
    }
}

/// How a response is kept.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Another than the view's.
    pub(crate) timeout: Option<Timeout>,
    pub(crate) varies: Vec<HeaderName>,
    /// It is never served stale.
    pub(crate) must_revalidate: bool,
    /// How old it is already.
    pub(crate) age: Duration,
}

/// Whether a body goes on for as long as the client listens.
fn is_stream(headers: &HeaderMap) -> bool {
    const ENDLESS: [&[u8]; 2] = [b"text/event-stream", b"multipart/x-mixed-replace"];
    headers.get_all(header::CONTENT_TYPE).iter().any(|kind| {
        let essence = kind.as_bytes().split(|byte| b";,".contains(byte)).next().unwrap_or_default();
        ENDLESS.iter().any(|endless| essence.trim_ascii().eq_ignore_ascii_case(endless))
    })
}

/// The headers that a response says it varies on, sorted; `Err` if it varies on more than that.
fn varies_on(headers: &HeaderMap) -> Result<Vec<HeaderName>, NotKept> {
    let mut names = Vec::new();
    // Not by `headers::Vary`, which passes over values that are no text.
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

/// `Content-Length`, if there is one: RFC 9110, 8.6. `Err` if it is no number, or if its members differ.
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
