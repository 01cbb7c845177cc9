//! Memoized functions.

use std::convert::Infallible;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::FragmentCache;
use crate::error::Error;
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::handle::{CallSelector, Invalidation};
use crate::memoize::{self, Call};

impl FragmentCache {
    /// Deletes the results of one call, of all calls on an instance, or of all calls of a function.
    /// The cost does not depend on how many there are.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Key`] if an argument cannot be serialized. No result is stored for such a call.
    pub fn delete_memoized(&self, calls: impl Into<CallSelector>) -> Result<Invalidation, Error> {
        self.handle.delete_memoized(calls)
    }

    /// Returns the stored result of this call, or runs `function` and stores its result.
    ///
    /// Single flight, freshness, stale windows and nesting work as for fragments. Of several
    /// concurrent callers, one runs the function. The result depends on the calls and fragments
    /// inside it, and [`current`](crate::current) refers to it.
    /// [`current::veto`](crate::current::veto) inside the function keeps its result from being
    /// stored.
    ///
    /// A mistake in the call (an argument or a result that cannot be serialized, a timeout of zero,
    /// an unusable tag) does not reach the caller: the function runs, nothing is stored, and an
    /// event and a counter report it.
    ///
    /// ```
    /// use fragcache::memoize::Function;
    /// use fragcache::FragmentCache;
    ///
    /// let cache = FragmentCache::in_memory();
    /// let call = Function::new("docs::answer").call().arg("ttl").arg(&["universe"]);
    /// assert_eq!(cache.memoize(&call, || 42), 42);
    /// let kept: i32 = cache.memoize(&call, || unreachable!("it is kept"));
    /// assert_eq!(kept, 42);
    /// ```
    pub fn memoize<T: Serialize + DeserializeOwned + 'static>(
        &self,
        call: &Call,
        function: impl FnOnce() -> T,
    ) -> T {
        let Ok(value) = self.try_memoize(call, || Ok::<T, Infallible>(function()));
        value
    }

    /// Like [`memoize`](Self::memoize), for a function that can fail. Its error passes through
    /// unchanged and is not stored. Within the [stale window](Call::stale), the stored result is
    /// returned in place of the error. To store errors too, memoize the `Result`.
    ///
    /// ```
    /// use fragcache::memoize::Function;
    /// use fragcache::FragmentCache;
    ///
    /// let cache = FragmentCache::in_memory();
    /// let call = Function::new("docs::parse").call().arg("4x");
    /// let parsed = cache.try_memoize(&call, || "4x".parse::<i32>());
    /// assert!(parsed.is_err());
    /// assert!(!cache.contains(&call.key()?)?);
    ///
    /// let kept = cache.memoize(&call, || "4x".parse::<i32>().map_err(|error| error.to_string()));
    /// assert!(kept.is_err() && cache.contains(&call.key()?)?);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The error of the function.
    pub fn try_memoize<T: Serialize + DeserializeOwned + 'static, E>(
        &self,
        call: &Call,
        function: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        memoize::try_memoize(&self.handle, call, function)
    }

    /// Like [`memoize`](Self::memoize), for a result that callers share: a hit returns the same
    /// `Arc`, at a cost that does not depend on the result's size. The attribute `#[memoize]` calls
    /// it for a function that returns an `Arc`.
    ///
    /// The result lies in this process as it is, and counts as many bytes towards the
    /// [bound](crate::CacheBuilder::max_bytes) as it takes when it is serialized. A store has its
    /// bytes, the same as those of a `T` that is not shared. It is decoded once when it comes from
    /// there.
    ///
    /// ```
    /// use fragcache::memoize::Function;
    /// use fragcache::FragmentCache;
    /// use std::sync::Arc;
    ///
    /// let cache = FragmentCache::in_memory();
    /// let call = Function::new("docs::primes").call().arg(&10);
    /// let [one, other] = [(); 2].map(|()| cache.memoize_shared(&call, || Arc::new(vec![2, 3, 5, 7])));
    /// assert!(Arc::ptr_eq(&one, &other));
    /// ```
    pub fn memoize_shared<T>(&self, call: &Call, function: impl FnOnce() -> Arc<T>) -> Arc<T>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let Ok(value) = self.try_memoize_shared(call, || Ok::<_, Infallible>(function()));
        value
    }

    /// Like [`try_memoize`](Self::try_memoize), for a result that callers share; see
    /// [`memoize_shared`](Self::memoize_shared).
    ///
    /// # Errors
    ///
    /// The error of the function.
    pub fn try_memoize_shared<T, E>(
        &self,
        call: &Call,
        function: impl FnOnce() -> Result<Arc<T>, E>,
    ) -> Result<Arc<T>, E>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        memoize::try_memoize_shared(&self.handle, call, function)
    }

    #[cfg(feature = "async")]
    /// Like [`memoize`](Self::memoize), for an asynchronous function. A task that waits for another
    /// caller's result does not block its thread. If the future of the leader is dropped, one of
    /// the waiting callers runs the function instead. Needs tokio's timer.
    ///
    /// The store behind the cache is called on the thread that polls. It blocks for a round trip,
    /// at most until the deadline of the operation (50 ms).
    ///
    /// ```
    /// use fragcache::memoize::Function;
    /// use fragcache::FragmentCache;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    /// # runtime.block_on(async {
    /// let cache = FragmentCache::in_memory();
    /// let call = Function::new("docs::answer").call().arg("ttl");
    /// assert_eq!(cache.memoize_async(&call, async { 42 }).await, 42);
    /// let kept: i32 = cache.memoize_async(&call, async { unreachable!("it is kept") }).await;
    /// assert_eq!(kept, 42);
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub async fn memoize_async<T: Serialize + DeserializeOwned + 'static>(
        &self,
        call: &Call,
        function: impl Future<Output = T>,
    ) -> T {
        let function = async { Ok::<T, Infallible>(function.await) };
        let Ok(value) = memoize::try_memoize_async(&self.handle, call, function).await;
        value
    }

    #[cfg(feature = "async")]
    /// Like [`try_memoize`](Self::try_memoize), for an asynchronous function; see
    /// [`memoize_async`](Self::memoize_async).
    ///
    /// # Errors
    ///
    /// The error of the function.
    pub async fn try_memoize_async<T: Serialize + DeserializeOwned + 'static, E>(
        &self,
        call: &Call,
        function: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        memoize::try_memoize_async(&self.handle, call, function).await
    }

    #[cfg(feature = "async")]
    /// Like [`memoize_shared`](Self::memoize_shared), for an asynchronous function; see
    /// [`memoize_async`](Self::memoize_async).
    pub async fn memoize_shared_async<T>(
        &self,
        call: &Call,
        function: impl Future<Output = Arc<T>>,
    ) -> Arc<T>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let function = async { Ok::<_, Infallible>(function.await) };
        let Ok(value) = memoize::try_memoize_shared_async(&self.handle, call, function).await;
        value
    }

    #[cfg(feature = "async")]
    /// Like [`try_memoize_shared`](Self::try_memoize_shared), for an asynchronous function; see
    /// [`memoize_async`](Self::memoize_async).
    ///
    /// # Errors
    ///
    /// The error of the function.
    pub async fn try_memoize_shared_async<T, E>(
        &self,
        call: &Call,
        function: impl Future<Output = Result<Arc<T>, E>>,
    ) -> Result<Arc<T>, E>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        memoize::try_memoize_shared_async(&self.handle, call, function).await
    }
}
