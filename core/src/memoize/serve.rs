//! Runs a call: returns the stored result, or runs the function and stores its result.

use std::borrow::Cow;
use std::convert::Infallible;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Call, form};
use crate::entry::{Body, OutputMode};
use crate::events::{EventKind, RefusalReason};
use crate::handle::Handle;
use crate::hash::{HashedKey, Version};
use crate::key::FragmentKey;
use crate::lookup::{QuickLookup, Variant};
use crate::options::Options;
use crate::render::{Content, current, serve};
use crate::values::codec;

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
    match Memo::of::<T>(cache, call) {
        Ok(memo) => {
            let quick = &memo.quick();
            let source = || cache.sources().of_form(&memo.form, OutputMode::VALUE);
            serve::<Results<T>, E>(cache, quick, source, &call.options.tags, function)
        }
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
    match Memo::of::<T>(cache, call) {
        Ok(memo) => {
            let quick = &memo.quick();
            let source = || cache.sources().of_form(&memo.form, OutputMode::VALUE);
            serve_async::<Results<T>, E>(cache, quick, source, &call.options.tags, function).await
        }
        Err(reason) => {
            refuse(cache, call, reason);
            function.await
        }
    }
}

/// What a call looks up.
struct Memo<'a> {
    hash: u64,
    key: Cow<'a, [u8]>,
    /// The digest of the result's type and of the function.
    form: Cow<'static, str>,
    version: Version,
    options: Options,
}

impl<'a> Memo<'a> {
    /// The lookup of a call, or why the call is refused.
    fn of<T: DeserializeOwned + 'static>(
        cache: &Handle,
        call: &'a Call,
    ) -> Result<Self, RefusalReason> {
        if call.unusable.is_some() {
            return Err(RefusalReason::Key);
        }
        if call.site.is_some_and(|(site, _)| site.is_second()) {
            return Err(RefusalReason::SharedName);
        }
        call.options.check_timeout().map_err(|_| RefusalReason::Timeout)?;
        call.options.check_tags().map_err(|_| RefusalReason::Tag)?;
        let key: Cow<'_, [u8]> = match cache.prefix() {
            [] => Cow::Borrowed(&call.key),
            prefix => Cow::Owned([prefix, &call.key].concat()),
        };
        Ok(Self {
            hash: cache.hasher().key(&key),
            key,
            form: form::of::<T>(call),
            version: call.options.version(cache.hasher()),
            options: call.options.lookup,
        })
    }

    fn quick(&self) -> QuickLookup<'_> {
        let Self { hash, key, form, version, options } = self;
        QuickLookup {
            hashed: HashedKey { hash: *hash, key },
            variant: Variant { digest: form, mode: OutputMode::VALUE, version: *version },
            options: *options,
        }
    }
}

/// Reports a call that bypasses the cache.
fn refuse(cache: &Handle, call: &Call, reason: RefusalReason) {
    let key = FragmentKey::from_encoded(&call.key);
    cache.emit(EventKind::Refused(reason), Some(&cache.encoded(&key)), cache.sources().rust());
    if let Some(warning) = call.site.and_then(|(site, _)| site.warning()) {
        cache.warn(None, &warning);
    }
    // Fragments around the call depend on a result whose dependencies are unknown.
    current::veto();
}
