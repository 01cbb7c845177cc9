//! Attributes for [`fragcache`](https://docs.rs/fragcache): functions whose results are kept
//! ([`macro@memoize`]), and functions after which what they change is invalidated
//! ([`macro@invalidates`]). Used as `fragcache::memoize` and `fragcache::invalidates`, with its feature
//! `macros`. They write calls of `fragcache` and hold no rules of their own: what a call goes through
//! is told there.

mod function;
mod invalidates;
mod memoize;
mod options;
mod refuse;
#[cfg(test)]
mod tests;
mod time;

use proc_macro::TokenStream;

/// Keeps what a function returns, by its arguments.
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
/// assert!(has_role(1, "admin")); // kept
///
/// CACHE.delete_memoized(has_role_memo(1, "admin"))?.eventually(); // this list of arguments
/// CACHE.delete_memoized(HAS_ROLE_MEMO)?.eventually(); // all of them
/// CACHE.invalidate_tags(["user:1"])?.eventually(); // all that carries the tag
/// assert!(has_role_uncached(1, "admin"));
/// # Ok::<(), fragcache::Error>(())
/// ```
///
/// # What it makes
///
/// | for `fn role(…)` | |
/// |---|---|
/// | `role(…)` | asks the cache, and runs on a miss |
/// | `role_uncached(…)` | runs |
/// | `role_memo(…)` | the [`Call`] with these arguments, without those ignored |
/// | `role_memo_of(identity)` | all calls on one instance, if there is an `identity` |
/// | `ROLE_MEMO` | the [`Function`]: all calls |
///
/// The last three are for [`delete_memoized`] and are seen where the function is. What they are given is
/// checked by the compiler:
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
/// The function's name and every argument, by value: whatever implements `Serialize`. Two calls share a
/// result exactly if their arguments are equal one by one, by kind and value: `42` is neither `"42"`
/// nor `42.0`, `Some(1)` is not `1`, `-0.0` is not `0.0`; the width of an integer and the order of a map
/// do not count. See [`Call::arg`].
///
/// An argument that cannot be part of a key, such as a connection, is left out by `ignore(…)`; it must
/// not change the result. An argument that is the cache is left out by itself.
///
/// Serde does not tell a set from a list. A set (any type whose name ends in `HashSet`, or a
/// `BinaryHeap`) has another order in each instance, and compiles only if it is taken without one by
/// `unordered(…)`, or is inside an [`Unordered`]:
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
/// Of a method, `identity` says what identifies the instance:
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
/// cache.delete_memoized(Account::balance_memo_of(1))?.eventually(); // of one account
/// cache.delete_memoized(Account::BALANCE_MEMO)?.eventually(); // of all accounts
/// # Ok::<(), fragcache::Error>(())
/// ```
///
/// # Options
///
/// Expressions see the arguments, and are evaluated in every call, before the cache is asked.
///
/// | option | |
/// |---|---|
/// | `cache = EXPR` | the cache: a static, an argument, a field; needed |
/// | `of = TYPE` | the type whose method or function it is; needed there |
/// | `identity: TYPE = EXPR` | what identifies the instance; needed for methods, or `ignore(self)` |
/// | `ignore(a, b)` | arguments that are not part of the key |
/// | `unordered(a, b)` | arguments whose elements count without their order, as often as they occur: a set, a list or an `Option` of one |
/// | `timeout = …` | seconds (`300`), a text (`"5m"`, `"never"`), or an expression that gives a `Duration` or a `Timeout`; the cache's default without |
/// | `expires = \|result\| …` | a `Duration` from the result; it ends the life that `timeout` gives, or without `timeout` is the only end |
/// | `stale = …` | seconds, a text or a `Duration`: the [stale window](https://docs.rs/fragcache/latest/fragcache/struct.Call.html#method.stale) |
/// | `tags = [a, b]` | tags; or an expression that gives a list |
/// | `version = EXPR` | a result of another version is a miss |
/// | `type_version = EXPR` | a `u32`: a result of another version of its type is a miss |
/// | `unless = EXPR` | if true, the cache is neither read nor written |
/// | `refresh = EXPR` | if true, the function runs, and replaces what is kept |
/// | `filter = \|result\| …` | if false, the result is given and not kept |
/// | `cache_none` | keeps a `None` too |
/// | `cache_err` | keeps an `Err` too |
/// | `source_check` | a result of another source of the function is a miss: of its signature and body, not of what it calls |
/// | `name = EXPR` | its name in the cache, a constant, in place of its path |
/// | `no_handles` | only the function is written, for methods of a trait; needs a `name` to delete by |
///
/// # The result
///
/// An owned type that implements `Serialize` and `DeserializeOwned`. `Option` and `Result` are recognised
/// by the last word of the type, also inside each other, as in `io::Result<Option<T>>`: a `None` and an
/// `Err` are given and not kept, unless `cache_none` or `cache_err` says so. If the type is called
/// `Result`, `filter` and `expires` see what is `Ok`. Under an alias or inside a type of another name they are
/// kept whole.
///
/// If the type changes, what was kept is a miss, whatever variant or field it is in. A type whose shape
/// cannot be seen, such as an untagged enum or `serde_json::Value`, is read by the build that kept it and
/// by no other, unless `type_version` is given; raise it when the type changes.
///
/// # Asynchronous functions
///
/// An `async fn` needs the feature `async`. A future that is dropped gives up what it computes, and one of
/// those who wait for it runs the function. The function's future is not polled on a hit.
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

/// Invalidates what a function changes, after it has returned.
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
/// assert!(add(&cache, &mut comments, 7, "").is_err()); // nothing is written, and nothing invalidated
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
/// | `cache = EXPR` | the cache that is told; needed |
/// | `tags = [a, b]` | tags; or an expression that gives a list |
/// | `keys = [a, b]` | keys of fragments or [values](https://docs.rs/fragcache/latest/fragcache/struct.Values.html#method.key), or references to some |
/// | `names = [a, b]` | every fragment of these names |
/// | `memoized = [a, b]` | the handles of memoized functions, or one |
/// | `on_err` | invalidates also if the function returns an `Err` |
///
/// # When
///
/// The expressions are evaluated before the function runs, as it may move its arguments. Then, all at
/// once:
///
/// | the function | |
/// |---|---|
/// | returns, or its type of result is called `Result` and it returns `Ok` | invalidates |
/// | returns `Err` | does not, unless `on_err` says so |
/// | panics | invalidates: nobody knows what was written |
/// | is an `async fn` and its future is dropped half-way | invalidates, for the same reason; not if it was never polled |
///
/// To invalidate without need costs a miss, and the other way round something old is served. So give
/// `on_err` where an error can come after the write, such as a time-out while committing.
///
/// It is for a function that has committed when it returns. Inside a transaction of the caller's it comes
/// too early: collect a [batch](https://docs.rs/fragcache/latest/fragcache/struct.InvalidationBatch.html)
/// and apply it after the commit.
///
/// A tag or a call that is unusable is on nothing that is kept, and is passed over.
#[proc_macro_attribute]
pub fn invalidates(options: TokenStream, function: TokenStream) -> TokenStream {
    expand(options.into(), &function.into(), invalidates::expand).into()
}

/// What an attribute writes, or an error; beside an error stands the function as it was, so that its
/// callers are not told of more.
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
