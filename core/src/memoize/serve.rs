//! Runs a call: returns the stored result, or runs the function and stores its result.

use std::convert::Infallible;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Call, CallSite};
use crate::entry::{Body, Entry, EntrySource, OutputMode};
use crate::events::{EventKind, MissReason, RefusalReason};
use crate::handle::Handle;
use crate::hash::HashedKey;
use crate::hash::Version;
use crate::key::FragmentKey;
use crate::near::{Missed, Variant};
use crate::render::{Lookup, Opened, Request};
use crate::tag;
use crate::values::{codec, shape};

/// A call as a lookup in one cache.
pub(super) struct CallLookup {
    pub(super) key: Box<[u8]>,
    pub(super) hash: u64,
    pub(super) source: Arc<EntrySource>,
    pub(super) request: Request,
}

/// Makes a body from the bytes of a store.
type OfBytes = fn(Vec<u8>) -> Option<Body>;
pub(super) static OF_BYTES: OfBytes = codec::of_bytes;

impl CallLookup {
    pub(super) fn hashed(&self) -> HashedKey<'_> {
        HashedKey { hash: self.hash, key: &self.key }
    }

    pub(super) fn variant(&self) -> Variant<'_> {
        let (digest, mode) = (self.source.digest(), self.source.mode());
        Variant { digest, mode, version: self.request.version }
    }

    pub(super) fn lookup(&self) -> Lookup<'_, OfBytes> {
        let (hashed, source, request) = (self.hashed(), &self.source, &self.request);
        Lookup { hashed, source, request, body: &OF_BYTES, memo: None }
    }
}

impl Handle {
    /// Returns the stored result of this call, or runs `function` and stores its result.
    pub(crate) fn memoize<T: Serialize + DeserializeOwned + 'static>(
        &self,
        call: &Call,
        function: impl FnOnce() -> T,
    ) -> T {
        match self.try_memoize(call, || Ok::<T, Infallible>(function())) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// Like [`memoize`](Self::memoize), for a function that can fail. Its error passes through
    /// unchanged and is not stored. Within the [stale window](Call::stale), the stored result is
    /// returned in place of the error. To store errors too, memoize the `Result`.
    pub(crate) fn try_memoize<T: Serialize + DeserializeOwned + 'static, E>(
        &self,
        call: &Call,
        function: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let mut lookup = match self.lookup::<T>(call) {
            Ok(lookup) => lookup,
            Err(reason) => {
                self.refuse_call(call, reason);
                return function();
            }
        };
        let missed = match self.kept(&mut lookup) {
            Ok(value) => return Ok(value),
            Err(missed) => missed,
        };
        let ticket = match self.open_slow(lookup.lookup(), missed, None, |entry| entry.body.clone())
        {
            Opened::Hit(body) => match self.read_kept(&mut lookup, &body) {
                Some(value) => return Ok(value),
                None => match self.open_slow(lookup.lookup(), None, None, |_| ()) {
                    Opened::Render(ticket) => ticket,
                    Opened::Hit(()) => return function(),
                },
            },
            Opened::Render(ticket) => ticket,
        };
        ticket.tag(&call.tags);
        match function() {
            Ok(value) => {
                match codec::encode(&value) {
                    Ok(body) => drop(ticket.close(body)),
                    Err(_) => {
                        self.emit(
                            EventKind::Refused(RefusalReason::Value),
                            Some(&lookup.key),
                            &lookup.source,
                        );
                        ticket.close_vetoed();
                    }
                }
                Ok(value)
            }
            Err(error) => {
                drop(ticket);
                let stale_if_error =
                    self.stale_if_error(lookup.hashed(), lookup.variant(), &lookup.request);
                stale_if_error.and_then(|body| codec::decode(&body)).ok_or(error)
            }
        }
    }

    /// The lookup of a call, or why it is refused.
    pub(super) fn lookup<T: DeserializeOwned + 'static>(
        &self,
        call: &Call,
    ) -> Result<CallLookup, RefusalReason> {
        if call.unusable.is_some() {
            return Err(RefusalReason::Key);
        }
        if call.site.is_some_and(CallSite::is_second) {
            return Err(RefusalReason::SharedName);
        }
        if call.timeout.validate().is_err() {
            return Err(RefusalReason::Timeout);
        }
        let are_usable = tag::check_count(call.tags.len()).is_ok()
            && call.tags.iter().all(|text| tag::check(text).is_ok());
        if !are_usable {
            return Err(RefusalReason::Tag);
        }
        let shape = shape::digest::<T>(call.type_version);
        let source = match (call.path, call.source) {
            (None, None) => self.sources().of_form(&shape.text(), OutputMode::VALUE),
            (path, source) => {
                let [path, source] = [path, source].map(Option::unwrap_or_default);
                let form = format!("{shape}{path:016x}{source:016x}");
                self.sources().of_form(&form, OutputMode::VALUE)
            }
        };
        let version = call.version.as_ref();
        let version =
            version.map_or(Version::default(), |version| self.hasher().version(version.as_bytes()));
        let key: Box<[u8]> = match self.prefix() {
            [] => call.key.as_slice().into(),
            prefix => [prefix, &call.key].concat().into(),
        };
        Ok(CallLookup {
            hash: self.hasher().key(&key),
            key,
            source,
            request: Request {
                timeout: call.timeout,
                unless: call.unless,
                refresh: call.refresh,
                version,
                stale: call.stale,
                ..Request::plain()
            },
        })
    }

    /// Reports a call that bypasses the cache.
    pub(super) fn refuse_call(&self, call: &Call, reason: RefusalReason) {
        let key = FragmentKey::from_encoded(&call.key);
        self.emit(EventKind::Refused(reason), Some(&self.encoded(&key)), self.sources().rust());
        if let Some(warning) = call.site.and_then(CallSite::warning) {
            self.warn(None, &warning);
        }
        // Fragments around the call depend on a result whose dependencies are unknown.
        crate::render::current::veto();
    }

    /// Reads the result from the near level.
    pub(super) fn kept<T: DeserializeOwned>(
        &self,
        lookup: &mut CallLookup,
    ) -> Result<T, Option<Missed>> {
        let body = |entry: &Entry| entry.body.clone();
        match self.quick_hit(lookup.hashed(), lookup.variant(), &lookup.request, body) {
            Some(Ok(body)) => self.read_kept(lookup, &body).ok_or(None),
            Some(Err(missed)) => Err(Some(missed)),
            None => Err(None),
        }
    }

    /// Decodes a body as the function's result. A body that cannot be decoded is to be replaced.
    pub(super) fn read_kept<T: DeserializeOwned>(
        &self,
        lookup: &mut CallLookup,
        body: &Body,
    ) -> Option<T> {
        let value = codec::decode(body);
        if value.is_none() {
            lookup.request.refresh = true;
            let missed = EventKind::Miss(MissReason::Unreadable);
            self.emit(missed, Some(&lookup.key), &lookup.source);
        }
        value
    }
}
