//! Typed values as bytes: `MessagePack` with the names of fields and variants, so that a value of
//! another type does not decode by accident.

use serde::de::DeserializeOwned;
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
    nil::check(value).map_err(|cause| {
        Error::new(ErrorKind::Value, format!("the value cannot be serialized: {cause}"))
    })?;
    let bytes = rmp_serde::to_vec_named(value).map_err(|cause| {
        let message = format!("the value cannot be serialized: {cause}");
        Error::new(ErrorKind::Value, message).with_source(cause)
    })?;
    Ok(Body::opaque(bytes.into_boxed_slice()))
}

/// Deserializes a body; `None` if it is not a `T`.
pub(crate) fn decode<T: DeserializeOwned>(body: &Body) -> Option<T> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(body.as_bytes());
    let value = T::deserialize(&mut reader).ok()?;
    // Trailing bytes mean that another type wrote the body. Only at the end is there no marker to
    // read, and a unit reads nothing after it.
    let end = <()>::deserialize(&mut reader);
    matches!(end, Err(rmp_serde::decode::Error::InvalidMarkerRead(_))).then_some(value)
}

/// The body as text; `None` if it is anything else.
pub(crate) fn text(body: &Body) -> Option<&str> {
    rmp_serde::from_slice(body.as_bytes()).ok()
}

/// Makes a body from the bytes of a store.
#[allow(clippy::unnecessary_wraps, reason = "a body of markup may not be one")]
pub(crate) fn of_bytes(bytes: Vec<u8>) -> Option<Body> {
    Some(Body::opaque(bytes.into_boxed_slice()))
}
