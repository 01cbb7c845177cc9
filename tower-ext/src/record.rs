//! Cache records of a request: a response, or the names of the headers that the response varies on.

use std::time::Duration;

use bytes::Bytes;
use fragcache::engine::{BinaryContent, Body};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_bytes::ByteBuf;

/// The format of the bytes below. Another format is another variant: releases do not read each
/// other's.
pub(crate) const FORM: &str = "fragcache-tower/1";

#[derive(Debug)]
pub(crate) enum Record {
    Response(Kept),
    /// The response is stored under a longer key that contains the values of these headers.
    Varies {
        names: Vec<HeaderName>,
        bytes: Bytes,
    },
}

/// A cached response.
#[derive(Debug)]
pub(crate) struct Kept {
    /// When it was made, since the Unix epoch.
    pub(crate) created: Duration,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    bytes: Bytes,
}

/// The head of a record, as `MessagePack`. The body follows it.
type Head = (u64, u16, Vec<(String, ByteBuf)>);

const RESPONSE: u8 = b'r';
const VARIES: u8 = b'v';

impl BinaryContent for Record {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Response(kept) => &kept.bytes,
            Self::Varies { bytes, .. } => bytes,
        }
    }
}

impl Record {
    /// Encodes a response. `None` if it cannot be encoded.
    pub(crate) fn response(
        created: Duration,
        status: StatusCode,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Option<Self> {
        let millis = u64::try_from(created.as_millis()).unwrap_or(u64::MAX);
        let of = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.as_str().to_owned(), ByteBuf::from(value.as_bytes()))
        };
        let head: Head = (millis, status.as_u16(), headers.iter().map(of).collect());
        let mut bytes = vec![RESPONSE];
        rmp_serde::encode::write(&mut bytes, &head).ok()?;
        let start = bytes.len();
        bytes.extend_from_slice(body);
        let bytes = Bytes::from(bytes);
        let body = bytes.slice(start..);
        Some(Self::Response(Kept { created, status, headers: headers.clone(), body, bytes }))
    }

    /// Encodes the names of the headers that responses vary on.
    pub(crate) fn varies(names: &[HeaderName]) -> Self {
        let texts: Vec<&str> = names.iter().map(HeaderName::as_str).collect();
        let bytes = format!("v{}", texts.join(",")).into();
        Self::Varies { names: names.to_vec(), bytes }
    }

    /// The record in a body of the cache.
    pub(crate) fn of(body: &Body) -> Option<&Self> {
        body.binary_ref()
    }

    /// Decodes the bytes of a store.
    pub(crate) fn read(bytes: Vec<u8>) -> Option<Body> {
        Self::parse(bytes).map(Body::opaque)
    }

    fn parse(bytes: Vec<u8>) -> Option<Self> {
        let bytes = Bytes::from(bytes);
        match bytes.split_first()? {
            (&RESPONSE, mut rest) => {
                let (millis, status, pairs): Head = rmp_serde::decode::from_read(&mut rest).ok()?;
                let body = bytes.slice(bytes.len() - rest.len()..);
                let mut headers = HeaderMap::try_with_capacity(pairs.len()).ok()?;
                for (name, value) in pairs {
                    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
                    headers.try_append(name, HeaderValue::from_bytes(&value).ok()?).ok()?;
                }
                let status = StatusCode::from_u16(status).ok()?;
                let created = Duration::from_millis(millis);
                Some(Self::Response(Kept { created, status, headers, body, bytes }))
            }
            (&VARIES, names) => {
                let names = names.split(|&byte| byte == b',').map(HeaderName::from_bytes);
                let names = names.collect::<Result<Vec<_>, _>>().ok()?;
                Some(Self::Varies { names, bytes })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_comes_back_as_it_was() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        headers.append("x-a", HeaderValue::from_static("two"));
        let body = Bytes::from_static(b"\x00\xffbody");
        let created = Duration::from_millis(1_700_000_000_123);
        let record = Record::response(created, StatusCode::ACCEPTED, &headers, &body).unwrap();
        let bytes = record.as_bytes().to_vec();
        let Some(Record::Response(kept)) = Record::parse(bytes) else { panic!("no response") };
        assert_eq!((kept.created, kept.status), (created, StatusCode::ACCEPTED));
        assert_eq!((kept.headers, kept.body), (headers, body));
    }

    #[test]
    fn the_headers_that_a_response_varies_on_come_back() {
        let names = [http::header::ACCEPT, http::header::ORIGIN];
        let bytes = Record::varies(&names).as_bytes().to_vec();
        let Some(Record::Varies { names: read, .. }) = Record::parse(bytes) else {
            panic!("no note")
        };
        assert_eq!(read, names);
    }

    #[test]
    fn bytes_that_are_no_record_are_none() {
        let whole = Record::response(
            Duration::ZERO,
            StatusCode::OK,
            &HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("\"x\""))]),
            &Bytes::new(),
        );
        let whole = whole.unwrap().as_bytes().to_vec();
        for end in 0..whole.len() {
            assert!(Record::parse(whole[..end].to_vec()).is_none(), "{end}");
        }
        for bytes in [&b"x"[..], b"v", b"v\xff", b"vaccept,", b"r\xff\xff"] {
            assert!(Record::parse(bytes.to_vec()).is_none(), "{bytes:?}");
        }
    }

    #[test]
    fn i8_more_headers_than_a_map_holds_are_no_record() {
        let pairs = (0..40_000).map(|n| (format!("x-{n}"), ByteBuf::from(*b"1"))).collect();
        let head: Head = (0, 200, pairs);
        let mut bytes = vec![RESPONSE];
        rmp_serde::encode::write(&mut bytes, &head).unwrap();
        assert!(Record::parse(bytes).is_none());
    }
}
