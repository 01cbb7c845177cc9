//! Runs a call: returns the stored result, or runs the function and stores its result.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;

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

/// Results of one type that callers share.
struct SharedResults<T>(PhantomData<T>);

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Content for SharedResults<T> {
    type Value = Arc<T>;

    fn of_bytes(bytes: Vec<u8>) -> Option<Body> {
        codec::shared_of_bytes::<T>(bytes)
    }

    fn read(body: Body) -> Option<Arc<T>> {
        codec::decode_shared(&body)
    }

    fn write(value: &Arc<T>) -> Option<Body> {
        codec::share(Arc::clone(value)).ok()
    }
}

impl<T: DeserializeOwned + 'static> ResultForm for Results<T> {
    type Stored = T;
}

impl<T: DeserializeOwned + 'static> ResultForm for SharedResults<T> {
    type Stored = T;
}

/// Content that is stored as the bytes of a type.
trait ResultForm {
    type Stored: DeserializeOwned + 'static;
}

/// Returns the stored result of this call, or runs `function` and stores its result.
#[inline]
pub(crate) fn try_memoize<T: Serialize + DeserializeOwned + 'static, E>(
    cache: &Handle,
    call: &Call,
    function: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    run::<Results<T>, E>(cache, call, function)
}

/// As [`try_memoize`], for a result that callers share.
#[inline]
pub(crate) fn try_memoize_shared<T, E>(
    cache: &Handle,
    call: &Call,
    function: impl FnOnce() -> Result<Arc<T>, E>,
) -> Result<Arc<T>, E>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    run::<SharedResults<T>, E>(cache, call, function)
}

/// As [`try_memoize`], for an asynchronous function.
#[cfg(feature = "async")]
pub(crate) fn try_memoize_async<T: Serialize + DeserializeOwned + 'static, E>(
    cache: &Handle,
    call: &Call,
    function: impl Future<Output = Result<T, E>>,
) -> impl Future<Output = Result<T, E>> {
    run_async::<Results<T>, E>(cache, call, function)
}

/// As [`try_memoize_shared`], for an asynchronous function.
#[cfg(feature = "async")]
pub(crate) fn try_memoize_shared_async<T, E>(
    cache: &Handle,
    call: &Call,
    function: impl Future<Output = Result<Arc<T>, E>>,
) -> impl Future<Output = Result<Arc<T>, E>>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    run_async::<SharedResults<T>, E>(cache, call, function)
}

#[inline]
fn run<C: Content + ResultForm, E>(
    cache: &Handle,
    call: &Call,
    function: impl FnOnce() -> Result<C::Value, E>,
) -> Result<C::Value, E> {
    match Memo::of::<C::Stored>(cache, call) {
        Ok(memo) => {
            let source = || cache.sources().of_form(&memo.form, OutputMode::VALUE);
            serve::<C, E>(cache, &memo.quick(), source, &call.options.tags, function)
        }
        Err(reason) => {
            refuse(cache, call, reason);
            function()
        }
    }
}

#[cfg(feature = "async")]
async fn run_async<C: Content + ResultForm, E>(
    cache: &Handle,
    call: &Call,
    function: impl Future<Output = Result<C::Value, E>>,
) -> Result<C::Value, E> {
    use crate::render::serve_async;
    match Memo::of::<C::Stored>(cache, call) {
        Ok(memo) => {
            let source = || cache.sources().of_form(&memo.form, OutputMode::VALUE);
            serve_async::<C, E>(cache, &memo.quick(), source, &call.options.tags, function).await
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
    options: &'a Options,
}

impl<'a> Memo<'a> {
    /// The lookup of a call, or why the call is refused.
    #[inline]
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
            options: &call.options.lookup,
        })
    }

    #[inline]
    fn quick(&self) -> QuickLookup<'_> {
        let Self { hash, key, form, version, options } = self;
        QuickLookup {
            hashed: HashedKey { hash: *hash, key },
            variant: Variant { digest: form, mode: OutputMode::VALUE, version: *version },
            options,
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
