//! Runs a call for tasks; the counterpart of `serve`.

use std::convert::Infallible;
use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Call;
use crate::events::{EventKind, RefusalReason};
use crate::handle::Handle;
use crate::render::Begun;
use crate::values::codec;

impl Handle {
    /// Like [`memoize`](Self::memoize), for an asynchronous function. A task that waits for another
    /// caller's result does not block its thread. If the future of the leader is dropped, one of
    /// the waiting callers runs the function instead. Needs tokio's timer.
    pub(crate) async fn memoize_async<T: Serialize + DeserializeOwned + 'static>(
        &self,
        call: &Call,
        function: impl Future<Output = T>,
    ) -> T {
        let function = async { Ok::<T, Infallible>(function.await) };
        match self.try_memoize_async(call, function).await {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// Like [`try_memoize`](Self::try_memoize), for an asynchronous function; see
    /// [`memoize_async`](Self::memoize_async).
    pub(crate) async fn try_memoize_async<T: Serialize + DeserializeOwned + 'static, E>(
        &self,
        call: &Call,
        function: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mut lookup = match self.lookup::<T>(call) {
            Ok(lookup) => lookup,
            Err(reason) => {
                self.refuse_call(call, reason);
                return function.await;
            }
        };
        let missed = match self.kept(&mut lookup) {
            Ok(value) => return Ok(value),
            Err(missed) => missed,
        };
        let begun = self.open_detached(lookup.lookup(), missed, None, |entry| entry.body.clone());
        let mut open = match begun.await {
            Begun::Hit(body) => match self.read_kept(&mut lookup, &body) {
                Some(value) => return Ok(value),
                None => match self.open_detached(lookup.lookup(), None, None, |_| ()).await {
                    Begun::Render(open) => open,
                    Begun::Hit(()) => return function.await,
                },
            },
            Begun::Render(open) => open,
        };
        open.tag(&call.tags);
        match open.run(function).await {
            Ok(value) => {
                match codec::encode(&value) {
                    Ok(body) => drop(open.close(body)),
                    Err(_) => {
                        let refused = EventKind::Refused(RefusalReason::Value);
                        self.emit(refused, Some(&lookup.key), &lookup.source);
                        open.close_vetoed();
                    }
                }
                Ok(value)
            }
            Err(error) => {
                drop(open);
                let stale_if_error =
                    self.stale_if_error(lookup.hashed(), lookup.variant(), &lookup.request);
                stale_if_error.and_then(|body| codec::decode(&body)).ok_or(error)
            }
        }
    }
}
