//! The error messages of the attributes, and whether the generated code parses.

use proc_macro2::{TokenStream, TokenTree};

use crate::{expand, invalidates, memoize};

fn tokens(source: &str) -> TokenStream {
    source.parse().expect(source)
}

fn memoized(options: &str, function: &str) -> String {
    expand(tokens(options), &tokens(function), memoize::expand).to_string()
}

fn invalidating(options: &str, function: &str) -> String {
    expand(tokens(options), &tokens(function), invalidates::expand).to_string()
}

/// The error message; checks that the unchanged function follows it.
fn error(written: &str, function: &str) -> String {
    let rest = written.strip_prefix(":: core :: compile_error ! { ").expect(written);
    let (error, rest) = rest.split_once(" }").expect(rest);
    assert_eq!(rest.trim(), tokens(function).to_string());
    let error: syn::LitStr = syn::parse_str(error).expect(error);
    error.value()
}

/// Asserts that `#[memoize]` reports a one-line error with this beginning.
#[track_caller]
fn refuses(options: &str, function: &str, begins: &str) {
    let error = error(&memoized(options, function), function);
    assert!(error.starts_with(begins), "{error}");
    assert!(!error.contains('\n') && !error.ends_with('.'), "{error}");
}

#[test]
fn methods_that_cannot_be_memoized_are_refused() {
    let options = || "cache = self.cache, of = A, identity: u32 = self.id";
    refuses(
        options(),
        "fn f(&mut self) -> u32 { 1 }",
        "a method that changes its instance cannot be memoized",
    );
    for function in [
        "fn f(self) -> u32 { 1 }",
        "fn f(mut self) -> u32 { 1 }",
        "fn f(self: Box<Self>) -> u32 { 1 }",
    ] {
        refuses(options(), function, "a method that consumes its instance cannot be memoized");
    }
    let method = || "fn f(&self) -> u32 { 1 }";
    refuses(
        "cache = C, of = A",
        method(),
        "a method needs the identity of its instance: write identity: TYPE",
    );
    refuses("cache = C, identity: u32 = 1", method(), "a method needs the name of its type");
    refuses("cache = C, of = Self, ignore(self)", method(), "Self is the name of every type");
    let of_type = "fn f(other: &Self) -> u32 { 1 }";
    refuses("cache = C", of_type, "a function of a type needs the type's name");
}

#[test]
fn arguments_that_cannot_be_part_of_a_key_are_refused() {
    let refuses = |function: &str, begins: &str| refuses("cache = C", function, begins);
    refuses("fn f((a, b): (u32, u32)) -> u32 { 1 }", "a pattern instead of an argument's name");
    refuses("fn f(ref a: u32) -> u32 { 1 }", "a pattern instead of an argument's name");
    refuses("fn f(_: u32) -> u32 { 1 }", "an argument without a name: give it one");
    refuses("fn f(#[cfg(test)] a: u32) -> u32 { 1 }", "an attribute on an argument");
    refuses("fn f(a: &mut Vec<u8>) -> u32 { 1 }", "a cached result changes no argument");
    refuses("fn f<T: Copy>(a: T) -> u32 { 1 }", "a generic function has a result for each type");
    refuses("fn f<const N: usize>(a: [u8; N]) -> u32 { 1 }", "a generic function has");
}

#[test]
fn sets_without_an_order_are_refused_or_taken_as_unordered() {
    let why = "has a different order in each instance, so equal values would be different calls:";
    for (set, name) in [
        ("HashSet<u32>", "HashSet"),
        ("&std::collections::HashSet<u32>", "HashSet"),
        ("Option<Arc<FxHashSet<u32>>>", "FxHashSet"),
        ("BinaryHeap<u32>", "BinaryHeap"),
    ] {
        let begins = format!("a {name} {why} write unordered(a), or take a BTreeSet");
        refuses("cache = C", &format!("fn f(a: {set}) -> u32 {{ 1 }}"), &begins);
    }
    for set in [
        "Option<Vec<HashSet<u32>>>",
        "&[HashSet<u32>]",
        "(u32, HashMap<u32, HashSet<u32>>)",
        "HashSet<Vec<HashSet<u32>>>",
        "Vec<Unordered<Vec<HashSet<u32>>>>",
        "&dyn AsRef<HashSet<u32>>",
    ] {
        for options in ["cache = C", "cache = C, unordered(a)"] {
            let begins = format!("a HashSet {why} take it inside an Unordered<…>");
            refuses(options, &format!("fn f(a: {set}) -> u32 {{ 1 }}"), &begins);
        }
    }
    let unordered = "cache = C, unordered(a)";
    for set in
        ["&HashSet<u32>", "Option<&Arc<HashSet<u32>>>", "&[u32]", "Vec<Unordered<HashSet<u32>>>"]
    {
        let written = memoized(unordered, &format!("fn f(a: {set}, b: u32) -> u32 {{ 1 }}"));
        assert!(!written.contains("compile_error"), "{written}");
        // Once in the function and once in its handle.
        assert_eq!(
            written.matches(":: fragcache :: memoize :: Unordered (& a)").count(),
            2,
            "{written}"
        );
        assert!(!written.contains("Unordered (& b)"), "{written}");
    }
    let one = "fn f(a: &[u32], cache: &FragmentCache, b: u32) -> u32 { 1 }";
    let names = "there is no argument c in the key to be unordered: its arguments are a, b";
    refuses("cache = cache, unordered(a, c)", one, names);
    let names = "there is no argument cache in the key to be unordered: its arguments are b";
    refuses("cache = cache, ignore(a), unordered(cache)", one, names);
    let none = "there is no argument self in the key to be unordered: it has no arguments";
    refuses("cache = C, of = A, ignore(self), unordered(self)", "fn f(&self) -> u32 { 1 }", none);
    refuses("cache = C, unordered = a", one, "write unordered(ARGUMENT, …)");
    refuses(
        "cache = C, of = A, identity: HashSet<u32> = self.ids",
        "fn f(&self) -> u32 { 1 }",
        "a HashSet has a different order in each instance, so equal values would be different \
         calls: write identity: Unordered<…>",
    );
    let identity = "cache = C, of = A, identity: Unordered<&HashSet<u32>> = Unordered(&self.ids)";
    let written = memoized(identity, "fn f(&self) -> u32 { 1 }");
    assert!(!written.contains("compile_error"), "{written}");
    let copied = "cache = C, ignore(a), identity: BTreeSet<u32> = a.iter().copied().collect()";
    let written = memoized(copied, "fn f(a: &HashSet<u32>) -> u32 { 1 }");
    assert!(!written.contains("compile_error"), "{written}");
}

#[test]
fn results_that_cannot_be_kept_are_refused() {
    let refuses = |function, begins| refuses("cache = C", function, begins);
    refuses("fn f(a: u32) { 1 }", "a function that returns nothing");
    refuses("fn f(a: &str) -> &str { a }", "a cached result outlives its arguments");
    refuses("fn f(a: &str) -> Result<Option<&str>, u32> { a }", "a cached result outlives");
    refuses("fn f(a: u32) -> impl Iterator<Item = u32> { a }", "a cached result is read back");
    refuses(
        "fn f(a: u32) -> Pin<Box<dyn Future<Output = u32>>> { a }",
        "the function returns before",
    );
    refuses("const fn f(a: u32) -> u32 { a }", "a const fn may run at compile time");
    refuses("unsafe fn f(a: u32) -> u32 { a }", "#[memoize] would call an unsafe function");
    refuses(r#"extern "C" fn f(a: u32) -> u32 { a }"#, "a function for other languages");
    refuses("fn f(&self) -> u32;", "a function without a body");
    let kept = memoized("cache = C", "fn f(a: &str) -> Result<String, &str> { a }");
    assert!(!kept.contains("compile_error"), "an error may borrow: {kept}");
}

#[test]
fn options_that_mean_nothing_are_refused() {
    let refuses = |options, begins| refuses(options, "fn f(a: u32) -> u32 { 1 }", begins);
    refuses("", "write the cache for the results");
    refuses("cache", "write cache = …");
    refuses(
        "C",
        "#[memoize] has no option C: if that is the cache, write cache = C; the options are",
    );
    refuses(r#"cache = C, tags = "a""#, r#"tags is a list: write tags = ["a"]"#);
    refuses(r#"cache = C, tags = format!("a:{a}")"#, "tags is a list: write tags = [format!(…)]");
    refuses("cache = C, cache = D", "cache is given twice");
    refuses("cache = C, ttl = 5", "#[memoize] has no option ttl: the options are cache, of, name");
    refuses(
        "cache = C, forced_update = x",
        "#[memoize] has no option forced_update: write refresh",
    );
    refuses(
        "cache = C, make_cache_key = x",
        "#[memoize] has no option make_cache_key: the arguments are",
    );
    refuses("cache = C, identity = a", "write identity: TYPE = EXPR");
    refuses("cache = C, ignore = a", "write ignore(ARGUMENT, …)");
    refuses("cache = C, ignore(b)", "there is no argument b to ignore");
    refuses("cache = C, ignore(self)", "there is no argument self to ignore");
    let errors = "cache_err is for a function that returns a Result, or an Option of one";
    refuses("cache = C, cache_err", errors);
    for returned in ["Vec<Result<u32, u32>>", "(u32, Result<u32, u32>)", "Box<Option<u32>>"] {
        let function = format!("fn f(a: u32) -> {returned} {{ a }}");
        self::refuses("cache = C, cache_err", &function, errors);
    }
    for returned in
        ["io::Result<u32>", "Option<Result<u32, u32>>", "Option<Option<Result<u32, u32>>>"]
    {
        let written =
            memoized("cache = C, cache_err", &format!("fn f(a: u32) -> {returned} {{ a }}"));
        assert!(!written.contains("compile_error"), "{written}");
    }
    refuses("cache = C, no_handles", "without handles, deletion needs a name");
}

#[test]
fn times_that_are_none_are_refused() {
    let refuses = |options, begins| refuses(options, "fn f(a: u32) -> u32 { 1 }", begins);
    refuses("cache = C, timeout = 0", "timeout is 0, which Flask-Caching documents");
    refuses(r#"cache = C, timeout = "0s""#, "timeout is 0, which");
    refuses(r#"cache = C, timeout = "soon""#, "timeout \"soon\" is not a duration");
    refuses("cache = C, timeout = -5", "timeout is not a duration");
    refuses("cache = C, timeout = 1.5", "timeout is not a duration");
    refuses("cache = C, timeout = None", "timeout is none: write \"never\"");
    refuses(r#"cache = C, stale = "never""#, r#"stale cannot be "never""#);
}

#[test]
fn writes_that_cannot_be_waited_for_are_refused() {
    let refuses = |options: &str, function: &str, begins: &str| {
        let error = error(&invalidating(options, function), function);
        assert!(error.starts_with(begins), "{error}");
    };
    let write = || "fn f(a: u32) -> u32 { 1 }";
    refuses(r#"tags = ["a"]"#, write(), "write the cache to invalidate in");
    refuses("cache = C", write(), "write what to invalidate");
    refuses(r#"cache = C, tags = "a""#, write(), r#"tags is a list: write tags = ["a"]"#);
    refuses(r#"cache = C, names = "a""#, write(), r#"names is a list: write names = ["a"]"#);
    refuses(
        r#"cache = C, prefix = "a""#,
        write(),
        "#[invalidates] has no option prefix: add a tag",
    );
    refuses(r#"cache = C, tag = "a""#, write(), "#[invalidates] has no option tag");
    let future = "fn f(a: u32) -> impl Future<Output = u32> { a }";
    refuses(r#"cache = C, tags = ["a"]"#, future, "the function returns before its future");
}

/// Every word generated around an expression, with the source text of its span.
fn pointed_at(written: TokenStream) -> Vec<(String, String)> {
    let each = |token| match token {
        TokenTree::Group(group) => pointed_at(group.stream()),
        TokenTree::Ident(word) => {
            let text = word.span().source_text().unwrap_or_default();
            vec![(word.to_string(), text)]
        }
        _ => Vec::new(),
    };
    written.into_iter().flat_map(each).collect()
}

#[test]
fn an_option_of_another_type_is_shown_where_it_stands() {
    let options = "cache = C, timeout = life(a), stale = window, unless = no(a), refresh = !a, \
                   version = edition, tags = [kind, format!(\"id:{a}\")]";
    let function = tokens("fn f(a: bool) -> u32 { 1 }");
    let pointed = pointed_at(expand(tokens(options), &function, memoize::expand));
    for (word, text) in [
        ("timeout", "life(a)"),
        ("Timeout", "life(a)"),
        ("stale", "window"),
        ("unless", "no(a)"),
        ("refresh", "!a"),
        ("version", "edition"),
        ("tags", "kind"),
        ("tags", "format!(\"id:{a}\")"),
    ] {
        let is_there = pointed.contains(&(word.to_owned(), text.to_owned()));
        assert!(is_there, "{word} does not point at {text}: {pointed:?}");
    }
    let whole = pointed_at(expand(tokens("cache = C, tags = all(a)"), &function, memoize::expand));
    assert!(whole.contains(&("tags".to_owned(), "all(a)".to_owned())), "{whole:?}");
}

#[test]
fn what_is_written_is_rust() {
    let all = r#"cache = self.cache, of = film::Film, identity: &str = &self.name, ignore(b), timeout = "5m", stale = 30, unless = b, refresh = !b, version = a, tags = ["x", y], filter = |n| *n > 1, expires = |n| life(n), cache_none, source_check"#;
    let method = r"
    /// Documented.
    #[must_use]
    #[cfg(test)]
    #[allow(unused)]
    pub(crate) async fn f<'a>(&self, mut a: &'a str, b: bool) -> Option<u32> where 'a: 'static { None }
";
    let written = format!("impl Film {{ {} }}", memoized(all, method));
    let written: syn::ItemImpl = syn::parse_str(&written).expect(&written);
    let names = written.items.iter().map(|item| match item {
        syn::ImplItem::Fn(item) => item.sig.ident.to_string(),
        syn::ImplItem::Const(item) => item.ident.to_string(),
        _ => panic!("neither a function nor a constant"),
    });
    assert_eq!(names.collect::<Vec<_>>(), ["f", "f_uncached", "F_MEMO", "f_memo", "f_memo_of"]);
}
