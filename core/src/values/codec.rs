//! Typed values as bytes: `MessagePack` with the names of fields and variants, which a value of another
//! type does not read as by accident.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::nil;
use crate::entry::Body;
use crate::error::{Error, ErrorKind};

/// The bytes of a value.
///
/// # Errors
///
/// [`ErrorKind::Value`] with what its `Serialize` says, or that it could not be read back.
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

/// The value that a body holds; `None` if it is no `T`.
pub(crate) fn decode<T: DeserializeOwned>(body: &Body) -> Option<T> {
    let mut reader = rmp_serde::Deserializer::new(body.as_bytes());
    let value = T::deserialize(&mut reader).ok()?;
    // More than the value is another's.
    reader.get_ref().is_empty().then_some(value)
}

/// The text that a body holds; `None` if that is anything else.
pub(crate) fn text(body: &Body) -> Option<&str> {
    rmp_serde::from_slice(body.as_bytes()).ok()
}

/// A body of bytes from a store.
#[allow(clippy::unnecessary_wraps, reason = "a body of markup may not be one")]
pub(crate) fn of_bytes(bytes: Vec<u8>) -> Option<Body> {
    Some(Body::opaque(bytes.into_boxed_slice()))
}
