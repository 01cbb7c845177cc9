//! Typed values as bytes: `MessagePack` with the names of fields and variants, so that a value of
//! another type does not decode by accident.

use serde::de::DeserializeOwned;
use std::any::Any;
use std::io::{self, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::nil;
use crate::entry::Body;
use crate::error::{Error, ErrorKind};

/// Serializes a value.
///
/// # Errors
///
/// [`ErrorKind::Value`] with the error of its `Serialize`, or if it could not be decoded again.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Body, Error> {
    let mut bytes = Vec::with_capacity(128);
    write(value, &mut bytes)?;
    Ok(Body::opaque(bytes.into_boxed_slice()))
}

/// Makes a body of a value that callers share.
///
/// # Errors
///
/// As [`encode`].
pub(crate) fn share<T: Serialize + Send + Sync + 'static>(value: Arc<T>) -> Result<Body, Error> {
    let mut bytes = Counted(0);
    write(&*value, &mut bytes)?;
    Ok(Body::shared(value, bytes.0, encode_any::<T>))
}

fn write<T: Serialize + ?Sized>(value: &T, bytes: &mut impl Write) -> Result<(), Error> {
    nil::check(value).map_err(|cause| {
        Error::new(ErrorKind::Value, format!("the value cannot be serialized: {cause}"))
    })?;
    rmp_serde::encode::write_named(bytes, value).map_err(|cause| {
        let message = format!("the value cannot be serialized: {cause}");
        Error::new(ErrorKind::Value, message).with_source(cause)
    })
}

/// The bytes of a shared value.
fn encode_any<T: Serialize + 'static>(value: &(dyn Any + Send + Sync)) -> Option<Vec<u8>> {
    rmp_serde::to_vec_named(value.downcast_ref::<T>()?).ok()
}

/// Counts bytes and drops them.
struct Counted(usize);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Deserializes a body; `None` if it is not a `T`.
#[inline]
pub(crate) fn decode<T: DeserializeOwned>(body: &Body) -> Option<T> {
    match body.as_bytes() {
        Some(bytes) => decode_bytes(bytes),
        None => decode_bytes(&body.to_bytes()),
    }
}

fn decode_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(bytes);
    let value = T::deserialize(&mut reader).ok()?;
    // Trailing bytes mean that another type wrote the body. Only at the end is there no marker to
    // read, and a unit reads nothing after it.
    let end = <()>::deserialize(&mut reader);
    matches!(end, Err(rmp_serde::decode::Error::InvalidMarkerRead(_))).then_some(value)
}

/// The value of a body, decoded if it is not there as a `T`; `None` if it is not one.
pub(crate) fn decode_shared<T>(body: &Body) -> Option<Arc<T>>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    body.to_value().or_else(|| decode(body).map(Arc::new))
}

/// The decoded form of a body, which takes as many bytes; `None` if it is not a `T`.
pub(crate) fn decoded<T>(body: &Body) -> Option<(Arc<T>, Body)>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let value = Arc::new(decode(body)?);
    Some((Arc::clone(&value), Body::shared(value, body.stored_len(), encode_any::<T>)))
}

/// The body as text; `None` if it is anything else.
pub(crate) fn text(body: &Body) -> Option<&str> {
    match body {
        Body::BinaryContent(content) => rmp_serde::from_slice(content.as_bytes()).ok(),
        shared => shared.value_ref::<String>().map(String::as_str),
    }
}

/// Makes a body from the bytes of a store.
#[allow(clippy::unnecessary_wraps, reason = "a body of markup may not be one")]
pub(crate) fn of_bytes(bytes: Vec<u8>) -> Option<Body> {
    Some(Body::opaque(bytes.into_boxed_slice()))
}

/// Makes a body from the bytes of a store, decoded if they are a `T`.
#[allow(clippy::unnecessary_wraps, reason = "a body of markup may not be one")]
pub(crate) fn shared_of_bytes<T>(bytes: Vec<u8>) -> Option<Body>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let body = Body::opaque(bytes.into_boxed_slice());
    Some(decoded::<T>(&body).map_or(body, |(_, decoded)| decoded))
}
