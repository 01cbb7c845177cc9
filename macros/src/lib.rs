//! Attributes for [`fragcache`](https://docs.rs/fragcache): [`macro@memoize`] caches the results of
//! a function, and [`macro@invalidates`] invalidates what a function changes. Use them as
//! `fragcache::memoize` and `fragcache::invalidates`, with the feature `macros`. They generate
//! calls of `fragcache` and contain no rules of their own: `fragcache` documents what a call does.

mod function;
mod invalidates;
mod memoize;
mod options;
mod refuse;
#[cfg(test)]
mod tests;
mod time;

use proc_macro::TokenStream;

/// Caches the results of a function by its arguments.
///
/// ```
/// use fragcache::{FragmentCache, memoize};
/// use std::sync::LazyLock;
///
/// static CACHE: LazyLock<FragmentCache> = LazyLock::new(FragmentCache::in_memory);
///
/// #[memoize(cache = CACHE, timeout = "5m", tags = [format!("user:{user}")])]
/// fn has_role(user: u32, role: &str) -> bool {
///     // … a query …
///     user == 1 && role == "admin"
/// }
///
/// assert!(has_role(1, "admin"));
/// assert!(has_role(1, "admin")); // cached
///
/// CACHE.delete_memoized(has_role_memo(1, "admin"))?.eventually(); // this list of arguments
/// CACHE.delete_memoized(HAS_ROLE_MEMO)?.eventually(); // all calls
/// CACHE.invalidate_tags(["user:1"])?.eventually(); // everything with the tag
/// assert!(has_role_uncached(1, "admin"));
/// # Ok::<(), fragcache::Error>(())
/// ```
///
/// # Generated items
///
/// | for `fn role(…)` | |
/// |---|---|
/// | `role(…)` | looks up the result; runs the function on a miss |
/// | `role_uncached(…)` | runs the function |
/// | `role_memo(…)` | the [`Call`] with these arguments, without ignored ones |
/// | `role_memo_of(identity)` | all calls on one instance, if there is an `identity` |
/// | `ROLE_MEMO` | the [`Function`]: all calls |
///
/// The last three are for [`delete_memoized`] and have the visibility of the function. The compiler
/// checks their arguments:
///
/// ```compile_fail,E0308
/// # use fragcache::{FragmentCache, memoize};
/// # static CACHE: std::sync::LazyLock<FragmentCache> = std::sync::LazyLock::new(FragmentCache::in_memory);
/// #[memoize(cache = CACHE)]
/// fn square(n: u64) -> u64 {
///     n * n
/// }
/// CACHE.delete_memoized(square_memo("3")).unwrap().eventually();
/// ```
///
/// # The key
///
/// The key is the function's name and the value of every argument; arguments must implement
/// `Serialize`. Two calls share a result exactly if their arguments are equal one by one, in kind
/// and value: `42` is neither `"42"` nor `42.0`, `Some(1)` is not `1`, `-0.0` is not `0.0`. The
/// width of an integer and the order of a map do not matter. See [`Call::arg`].
///
/// `ignore(…)` excludes an argument that cannot be part of a key, such as a connection; it must not
/// change the result. An argument that is the cache is excluded automatically.
///
/// Serde does not distinguish a set from a list. A set (any type whose name ends in `HashSet`, or a
/// `BinaryHeap`) has a different order in each instance. It compiles only if `unordered(…)` removes
/// its order, or if it is inside an [`Unordered`]:
///
/// ```
/// use fragcache::{FragmentCache, memoize};
/// use std::collections::HashSet;
///
/// #[memoize(cache = cache, unordered(ids))]
/// fn count(cache: &FragmentCache, ids: &HashSet<u32>) -> usize {
///     ids.len()
/// }
///
/// let cache = FragmentCache::in_memory();
/// assert_eq!(count(&cache, &HashSet::from([1, 2, 3])), 3);
/// let equal = HashSet::from([3, 2, 1]);
/// assert!(cache.contains(&count_memo(&equal).key()?)?);
/// # Ok::<(), fragcache::Error>(())
/// ```
///
/// ```compile_fail
/// # use fragcache::{FragmentCache, memoize};
/// # use std::collections::HashSet;
/// #[memoize(cache = cache)] // unordered(ids) is missing
/// fn count(cache: &FragmentCache, ids: &HashSet<u32>) -> usize {
///     ids.len()
/// }
/// ```
///
/// ```compile_fail,E0277
/// # use fragcache::{FragmentCache, memoize};
/// struct Connection;
///
/// #[memoize(cache = cache)] // ignore(connection) is missing
/// fn title(cache: &FragmentCache, connection: &Connection, id: u32) -> String {
///     format!("film {id}")
/// }
/// ```
///
/// For a method, `identity` is the value that identifies the instance:
///
/// ```
/// use fragcache::{FragmentCache, memoize};
///
/// struct Account {
///     cache: FragmentCache,
///     id: u32,
/// }
///
/// impl Account {
///     #[memoize(cache = self.cache, of = Account, identity: u32 = self.id)]
///     fn balance(&self, currency: &str) -> String {
///         format!("{} {currency}", self.id)
///     }
/// }
///
/// let cache = FragmentCache::in_memory();
/// let (one, two) = (Account { cache: cache.clone(), id: 1 }, Account { cache: cache.clone(), id: 2 });
/// assert_eq!((one.balance("eur"), two.balance("eur")), ("1 eur".to_owned(), "2 eur".to_owned()));
///
/// cache.delete_memoized(Account::balance_memo(1, "eur"))?.eventually(); // one call
/// cache.delete_memoized(Account::balance_memo_of(1))?.eventually(); // one account
/// cache.delete_memoized(Account::BALANCE_MEMO)?.eventually(); // all accounts
/// # Ok::<(), fragcache::Error>(())
/// ```
///
/// # Options
///
/// Expressions can use the arguments. They are evaluated in every call, before the lookup.
///
/// | option | |
/// |---|---|
/// | `cache = EXPR` | the cache: a static, an argument, a field; required |
/// | `of = TYPE` | the type of a method or associated function; required for them |
/// | `identity: TYPE = EXPR` | what identifies the instance; required for methods, or `ignore(self)` |
/// | `ignore(a, b)` | arguments that are not part of the key |
/// | `unordered(a, b)` | arguments whose elements are compared without order, but with their number of occurrences: a set, a list or an `Option` of one |
/// | `timeout = …` | seconds (`300`), a string (`"5m"`, `"never"`), or an expression of type `Duration` or `Timeout`; default: the cache's |
/// | `expires = \|result\| …` | a `Duration` computed from the result; limits the TTL of `timeout`, or is the TTL if there is no `timeout` |
/// | `stale = …` | seconds, a string or a `Duration`: the [stale window](https://docs.rs/fragcache/latest/fragcache/struct.Call.html#method.stale) |
/// | `tags = [a, b]` | tags; or an expression that returns a list |
/// | `version = EXPR` | a result of another version is a miss |
/// | `type_version = EXPR` | a `u32`: a result of another version of its type is a miss |
/// | `unless = EXPR` | if true, the cache is neither read nor written |
/// | `refresh = EXPR` | if true, the function runs and its result replaces the cached one |
/// | `filter = \|result\| …` | if false, the result is returned but not cached |
/// | `cache_none` | caches `None` too |
/// | `cache_err` | caches `Err` too |
/// | `source_check` | a result of a different source of the function is a miss; compares its signature and body, not the functions it calls |
/// | `name = EXPR` | its name in the cache, a constant, in place of its path |
/// | `no_handles` | generates only the function, for methods of a trait; needs a `name` for deletion |
///
/// # The result
///
/// The result is an owned type that implements `Serialize` and `DeserializeOwned`. `Option` and
/// `Result` are recognised by the last segment of the type, nested ones too, as in
/// `io::Result<Option<T>>`: `None` and `Err` are returned but not cached, unless `cache_none` or
/// `cache_err` is set. If the type is named `Result`, `filter` and `expires` get the `Ok` value.
/// Under an alias or inside another type, both are cached whole.
///
/// If the type changes, cached results are misses, regardless of the variant or field that changed.
/// The shape of some types cannot be seen, such as an untagged enum or `serde_json::Value`. Their
/// results are read only by the build that stored them, unless `type_version` is set; increase it
/// when the type changes.
///
/// # Asynchronous functions
///
/// An `async fn` needs the feature `async`. Dropping the future abandons the computation, and one
/// of the waiting callers runs the function instead. On a hit, the function's future is not polled.
///
/// [`Unordered`]: https://docs.rs/fragcache/latest/fragcache/struct.Unordered.html
/// [`Call::arg`]: https://docs.rs/fragcache/latest/fragcache/struct.Call.html#method.arg
/// [`Call`]: https://docs.rs/fragcache/latest/fragcache/struct.Call.html
/// [`Function`]: https://docs.rs/fragcache/latest/fragcache/struct.Function.html
/// [`delete_memoized`]: https://docs.rs/fragcache/latest/fragcache/struct.FragmentCache.html#method.delete_memoized
#[proc_macro_attribute]
pub fn memoize(options: TokenStream, function: TokenStream) -> TokenStream {
    expand(options.into(), &function.into(), memoize::expand).into()
}

/// Invalidates what a function changes, after it returns.
///
/// ```
/// use fragcache::{FragmentCache, fragment_key, invalidates, memoize};
///
/// #[memoize(cache = cache, ignore(comments))]
/// fn count(cache: &FragmentCache, comments: &[String], post: u32) -> usize {
///     comments.len()
/// }
///
/// #[invalidates(
///     cache = cache,
///     tags = [format!("post:{post}")],
///     keys = [fragment_key!("comments", post)],
///     memoized = [count_memo(post)],
/// )]
/// fn add(cache: &FragmentCache, comments: &mut Vec<String>, post: u32, text: &str) -> Result<(), String> {
///     if text.is_empty() {
///         return Err("say something".to_owned());
///     }
///     comments.push(text.to_owned());
///     Ok(())
/// }
///
/// let (cache, mut comments) = (FragmentCache::in_memory(), Vec::new());
/// assert_eq!(count(&cache, &comments, 7), 0);
/// assert!(add(&cache, &mut comments, 7, "").is_err()); // nothing written, nothing invalidated
/// assert!(cache.contains(&count_memo(7).key()?)?);
/// add(&cache, &mut comments, 7, "hello").unwrap();
/// assert_eq!(count(&cache, &comments, 7), 1);
/// # Ok::<(), fragcache::Error>(())
/// ```
///
/// # Options
///
/// | option | |
/// |---|---|
/// | `cache = EXPR` | the cache to invalidate; required |
/// | `tags = [a, b]` | tags; or an expression that returns a list |
/// | `keys = [a, b]` | keys of fragments or [values](https://docs.rs/fragcache/latest/fragcache/struct.Values.html#method.key), or references to keys |
/// | `names = [a, b]` | every fragment with these names |
/// | `memoized = [a, b]` | the handles of memoized functions, or one handle |
/// | `on_err` | also invalidates if the function returns an `Err` |
///
/// # When
///
/// The expressions are evaluated before the function runs, because it may move its arguments. After
/// it returns, all invalidations are applied together:
///
/// | the function | |
/// |---|---|
/// | returns; if the return type is named `Result`, returns `Ok` | invalidates |
/// | returns `Err` | does not invalidate, unless `on_err` is set |
/// | panics | invalidates: what was written is unknown |
/// | is an `async fn` and its future is dropped half-way | invalidates, for the same reason; not if it was never polled |
///
/// An unnecessary invalidation costs a miss; a missing one serves outdated results. So set `on_err`
/// where an error can occur after the write, such as a timeout while committing.
///
/// The attribute is for functions that have committed when they return. Inside a transaction of the
/// caller it comes too early: collect a
/// [batch](https://docs.rs/fragcache/latest/fragcache/struct.InvalidationBatch.html) and apply it
/// after the commit.
///
/// Invalid tags and calls are skipped, because no cached entry has them.
#[proc_macro_attribute]
pub fn invalidates(options: TokenStream, function: TokenStream) -> TokenStream {
    expand(options.into(), &function.into(), invalidates::expand).into()
}

/// Expands an attribute. An error is followed by the unchanged function, so that its callers cause
/// no further errors.
fn expand<O: syn::parse::Parse>(
    options: proc_macro2::TokenStream,
    function: &proc_macro2::TokenStream,
    write: fn(&O, &function::Function) -> syn::Result<proc_macro2::TokenStream>,
) -> proc_macro2::TokenStream {
    let written =
        syn::parse2(options).and_then(|options| write(&options, &syn::parse2(function.clone())?));
    written.unwrap_or_else(|error| {
        let error = error.into_compile_error();
        quote::quote!(#error #function)
    })
}
