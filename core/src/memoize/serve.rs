//! Runs a call: returns the stored result, or runs the function and stores its result.

use std::convert::Infallible;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Call, CallSite};
use crate::entry::{Body, OutputMode};
use crate::events::{EventKind, RefusalReason};
use crate::handle::Handle;
use crate::key::FragmentKey;
use crate::lookup::OwnedRequest;
use crate::render::{Content, current, serve};
use crate::values::{codec, shape};

/// Results of one type.
struct Results<T>(PhantomData<T>);

impl<T: Serialize + DeserializeOwned> Content for Results<T> {
    type Value = T;

    fn of_bytes(bytes: Vec<u8>) -> Option<Body> {
        codec::of_bytes(bytes)
    }

    fn read(body: Body) -> Option<T> {
        codec::decode(&body)
    }

    fn write(value: &T) -> Option<Body> {
        codec::encode(value).ok()
    }
}

/// Returns the stored result of this call, or runs `function` and stores its result.
pub(crate) fn memoize<T: Serialize + DeserializeOwned + 'static>(
    cache: &Handle,
    call: &Call,
    function: impl FnOnce() -> T,
) -> T {
    let Ok(value) = try_memoize(cache, call, || Ok::<T, Infallible>(function()));
    value
}

/// As [`memoize`], for a function that can fail.
pub(crate) fn try_memoize<T: Serialize + DeserializeOwned + 'static, E>(
    cache: &Handle,
    call: &Call,
    function: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    match request::<T>(cache, call) {
        Ok(owned) => serve::<Results<T>, E>(cache, owned.request(), &call.options.tags, function),
        Err(reason) => {
            refuse(cache, call, reason);
            function()
        }
    }
}

/// As [`memoize`], for an asynchronous function.
#[cfg(feature = "async")]
pub(crate) async fn memoize_async<T: Serialize + DeserializeOwned + 'static>(
    cache: &Handle,
    call: &Call,
    function: impl Future<Output = T>,
) -> T {
    let function = async { Ok::<T, Infallible>(function.await) };
    let Ok(value) = try_memoize_async(cache, call, function).await;
    value
}

/// As [`try_memoize`], for an asynchronous function.
#[cfg(feature = "async")]
pub(crate) async fn try_memoize_async<T: Serialize + DeserializeOwned + 'static, E>(
    cache: &Handle,
    call: &Call,
    function: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    use crate::render::serve_async;
    match request::<T>(cache, call) {
        Ok(owned) => {
            let tags = &call.options.tags;
            serve_async::<Results<T>, E>(cache, owned.request(), tags, function).await
        }
        Err(reason) => {
            refuse(cache, call, reason);
            function.await
        }
    }
}

/// The request of a call, or why the call is refused.
fn request<T: DeserializeOwned + 'static>(
    cache: &Handle,
    call: &Call,
) -> Result<OwnedRequest, RefusalReason> {
    if call.unusable.is_some() {
        return Err(RefusalReason::Key);
    }
    if call.site.is_some_and(CallSite::is_second) {
        return Err(RefusalReason::SharedName);
    }
    call.options.check_timeout().map_err(|_| RefusalReason::Timeout)?;
    call.options.check_tags().map_err(|_| RefusalReason::Tag)?;
    let shape = shape::digest::<T>(call.type_version);
    let source = match (call.path, call.source) {
        (None, None) => cache.sources().of_form(&shape.text(), OutputMode::VALUE),
        (path, source) => {
            let [path, source] = [path, source].map(Option::unwrap_or_default);
            let form = format!("{shape}{path:016x}{source:016x}");
            cache.sources().of_form(&form, OutputMode::VALUE)
        }
    };
    let key: Box<[u8]> = match cache.prefix() {
        [] => call.key.as_slice().into(),
        prefix => [prefix, &call.key].concat().into(),
    };
    Ok(OwnedRequest {
        hash: cache.hasher().key(&key),
        key,
        source,
        version: call.options.version(cache.hasher()),
        options: call.options.lookup,
    })
}

/// Reports a call that bypasses the cache.
fn refuse(cache: &Handle, call: &Call, reason: RefusalReason) {
    let key = FragmentKey::from_encoded(&call.key);
    cache.emit(EventKind::Refused(reason), Some(&cache.encoded(&key)), cache.sources().rust());
    if let Some(warning) = call.site.and_then(CallSite::warning) {
        cache.warn(None, &warning);
    }
    // Fragments around the call depend on a result whose dependencies are unknown.
    current::veto();
}
