//! Arguments whose order does not matter.

use serde::{Serialize, Serializer};

use crate::key::UNORDERED;

/// An argument or an identity whose elements are compared without their order. Serde cannot
/// distinguish a set from a list, and each `HashSet` has its own order, so two equal sets are the
/// same argument only inside this wrapper. The attribute
/// [`memoize`](https://docs.rs/fragcache-macros) adds it to the arguments named in `unordered(…)`.
///
/// ```
/// use fragcache::memoize::{Function, Unordered};
/// use fragcache::FragmentCache;
/// use std::collections::HashSet;
///
/// const SUM: Function = Function::new("docs::sum");
///
/// let cache = FragmentCache::in_memory();
/// let [one, equal] = [[1, 2, 3], [3, 2, 1]].map(HashSet::from);
/// assert_eq!(cache.memoize(&SUM.call().arg(&Unordered(&one)), || one.iter().sum::<u32>()), 6);
///
/// let call = SUM.call().arg(&Unordered(&equal));
/// assert!(cache.contains(&call.key()?)?);
/// cache.delete_memoized(&call)?.eventually();
/// assert!(!cache.contains(&call.key()?)?);
/// # Ok::<(), fragcache::Error>(())
/// ```
///
/// It wraps a sequence, also one in an `Option` or a newtype. Around anything else the argument
/// cannot be part of a key, and the call bypasses the cache. Elements count as often as they occur:
/// `[1, 1]` is not `[1]`. The order inside an element matters: a set inside another collection
/// needs its own `Unordered`. An unordered argument never equals an ordered one. Outside of keys,
/// it serializes as its content.
#[derive(Debug, Clone, Copy)]
pub struct Unordered<T: ?Sized>(pub T);

impl<T: Serialize + ?Sized> Serialize for Unordered<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize_field(&self.0, serializer)
    }
}

impl<T: Serialize + ?Sized> Unordered<T> {
    /// Serializes a set that is a field of an argument.
    ///
    /// ```
    /// use fragcache::memoize::{Function, Unordered};
    /// use serde::Serialize;
    /// use std::collections::HashSet;
    ///
    /// #[derive(Serialize)]
    /// struct Filter {
    ///     #[serde(serialize_with = "Unordered::serialize_field")]
    ///     tags: HashSet<&'static str>,
    ///     page: u32,
    /// }
    ///
    /// let search = Function::new("docs::search");
    /// let call = |tags| search.call().arg(&Filter { tags: HashSet::from(tags), page: 1 }).key();
    /// assert_eq!(call(["new", "red"])?, call(["red", "new"])?);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The error of the serializer.
    pub fn serialize_field<S: Serializer>(set: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(UNORDERED, set)
    }
}
