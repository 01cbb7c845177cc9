//! Answers a request with a cached response: age, `304 Not Modified`, `HEAD`.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use headers::{Age, ETag, HeaderMapExt, IfModifiedSince, IfNoneMatch, LastModified};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body::Body;
use xxhash_rust::xxh3::xxh3_128;

use crate::body::CachedBody;
use crate::record::Kept;

/// The conditions of a request.
#[derive(Debug)]
pub(crate) struct Conditions {
    is_head: bool,
    if_none_match: Option<IfNoneMatch>,
    if_modified_since: Option<IfModifiedSince>,
}

impl Conditions {
    /// Takes the conditions of a request. A handler that saw them might send less than a whole
    /// response, which could not be cached.
    pub(crate) fn take(method: &Method, headers: &mut HeaderMap) -> Self {
        let is_head = method == Method::HEAD;
        if !is_head && method != Method::GET {
            // For other methods, the handler decides what they mean: RFC 9110, 13.1.
            return Self { is_head, if_none_match: None, if_modified_since: None };
        }
        let has_tag = headers.contains_key(header::IF_NONE_MATCH);
        let if_none_match = headers.typed_get();
        // The date is ignored if there are tags, even unreadable ones.
        let if_modified_since = headers.typed_get().filter(|_| !has_tag);
        if !is_head {
            headers.remove(header::IF_NONE_MATCH);
            headers.remove(header::IF_MODIFIED_SINCE);
        }
        Self { is_head, if_none_match, if_modified_since }
    }

    fn are_met(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        if status != StatusCode::OK {
            return false;
        }
        if let Some(wanted) = &self.if_none_match {
            let tag: Option<ETag> = headers.typed_get();
            return tag.is_some_and(|tag| !wanted.precondition_passes(&tag));
        }
        let modified: Option<LastModified> = headers.typed_get();
        match (&self.if_modified_since, modified) {
            (Some(since), Some(at)) => !since.is_modified(SystemTime::from(at)),
            _ => false,
        }
    }

    /// Sends `304 Not Modified` where the conditions allow it, although nothing is cached: the
    /// handler does not see the conditions.
    pub(crate) fn shorten<P: Body>(
        &self,
        response: Response<CachedBody<P>>,
    ) -> Response<CachedBody<P>> {
        if self.is_head || !self.are_met(response.status(), response.headers()) {
            return response;
        }
        let mut response = response.map(|_| CachedBody::default());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        undress(response.headers_mut());
        response
    }

    /// Builds the answer from a cached response.
    pub(crate) fn answer(&self, kept: &Kept, now: Option<Duration>) -> Response<Bytes> {
        let mut headers = kept.headers.clone();
        if let Some(now) = now {
            let before: Option<Age> = headers.typed_get();
            let before = before.map_or(0, |age| age.as_secs());
            let held = now.saturating_sub(kept.created).as_secs();
            headers.typed_insert(Age::from_secs(before.saturating_add(held)));
        }
        let (mut status, mut body) = (kept.status, kept.body.clone());
        if self.are_met(status, &headers) {
            status = StatusCode::NOT_MODIFIED;
            body = Bytes::new();
            undress(&mut headers);
        } else if self.is_head {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            body = Bytes::new();
        }
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

/// Removes headers that describe a body, for responses without one.
fn undress(headers: &mut HeaderMap) {
    for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::CONTENT_ENCODING] {
        headers.remove(name);
    }
}

/// Removes hop-by-hop headers, which are not stored: RFC 9111, 3.1.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let mut names = vec![
        header::CONNECTION,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
        header::PROXY_AUTHENTICATE,
        HeaderName::from_static("proxy-authentication-info"),
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    for value in headers.get_all(header::CONNECTION) {
        let listed = value.as_bytes().split(|&byte| byte == b',');
        names.extend(listed.flat_map(|name| HeaderName::from_bytes(name.trim_ascii())));
    }
    for name in names {
        headers.remove(name);
    }
}

/// Adds a weak entity tag if there is none. It is weak because a layer outside may compress the
/// body.
pub(crate) fn tag(headers: &mut HeaderMap, body: &Bytes) {
    if headers.contains_key(header::ETAG) {
        return;
    }
    let text = format!("W/\"{:032x}\"", xxh3_128(body));
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(header::ETAG, value);
    }
}
