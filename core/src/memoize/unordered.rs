//! Arguments whose order does not count.

use serde::{Serialize, Serializer};

use crate::key::UNORDERED;

/// An argument or an identity whose elements count without their order. Serde does not tell a set from
/// a list, and a `HashSet` has another order in each instance: two equal ones are one argument only
/// inside this. The attribute [`memoize`](https://docs.rs/fragcache-macros) writes it around the
/// arguments that `unordered(…)` names.
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
/// It is for a sequence, also in an `Option` or a newtype; around anything else the argument cannot be
/// part of a key, and the call goes by the cache. Elements count as often as they occur: `[1, 1]` is not
/// `[1]`. What is in them has its order: a set inside another collection needs its own
/// `Unordered`. An unordered argument is never equal to one in order. Where no key is made of it, it
/// serializes as what is inside.
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
    /// The serializer's.
    pub fn serialize_field<S: Serializer>(set: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(UNORDERED, set)
    }
}
