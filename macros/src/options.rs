//! Parses the options of both attributes: `name`, `name = EXPR`, `name(a, b)`, and
//! `identity: TYPE = EXPR`. Their meaning is in `memoize` and `invalidates`.

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprArray, ExprLit, ExprMacro, Lit, Path, Token, Type, parenthesized};

/// The options of `#[memoize]`.
#[derive(Default)]
pub(crate) struct Memoize {
    pub(crate) cache: Option<Expr>,
    pub(crate) of: Option<Path>,
    pub(crate) name: Option<Expr>,
    pub(crate) identity: Option<(Type, Expr)>,
    pub(crate) ignore: Option<Vec<Ident>>,
    pub(crate) unordered: Option<Vec<Ident>>,
    pub(crate) timeout: Option<Expr>,
    pub(crate) stale: Option<Expr>,
    pub(crate) unless: Option<Expr>,
    pub(crate) refresh: Option<Expr>,
    pub(crate) version: Option<Expr>,
    pub(crate) type_version: Option<Expr>,
    pub(crate) tags: Option<Expr>,
    pub(crate) filter: Option<Expr>,
    pub(crate) expires: Option<Expr>,
    pub(crate) cache_none: Option<()>,
    pub(crate) cache_err: Option<()>,
    pub(crate) source_check: Option<()>,
    pub(crate) no_handles: Option<()>,
}

/// The options of `#[invalidates]`.
#[derive(Default)]
pub(crate) struct Invalidates {
    pub(crate) cache: Option<Expr>,
    pub(crate) tags: Option<Expr>,
    pub(crate) keys: Option<Expr>,
    pub(crate) names: Option<Expr>,
    pub(crate) memoized: Option<Expr>,
    pub(crate) on_err: Option<()>,
}

impl Parse for Memoize {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut all = Self::default();
        each(input, |name, input| match name.to_string().as_str() {
            "cache" => set(&mut all.cache, name, value(name, input)?),
            "of" => set(&mut all.of, name, value(name, input)?),
            "name" => set(&mut all.name, name, value(name, input)?),
            "identity" => set(&mut all.identity, name, typed_value(name, input)?),
            "ignore" => set(&mut all.ignore, name, names(name, input)?),
            "unordered" => set(&mut all.unordered, name, names(name, input)?),
            "timeout" => set(&mut all.timeout, name, value(name, input)?),
            "stale" => set(&mut all.stale, name, value(name, input)?),
            "unless" => set(&mut all.unless, name, value(name, input)?),
            "refresh" => set(&mut all.refresh, name, value(name, input)?),
            "version" => set(&mut all.version, name, value(name, input)?),
            "type_version" => set(&mut all.type_version, name, value(name, input)?),
            "tags" => set(&mut all.tags, name, list(name, input)?),
            "filter" => set(&mut all.filter, name, value(name, input)?),
            "expires" => set(&mut all.expires, name, value(name, input)?),
            "cache_none" => set(&mut all.cache_none, name, ()),
            "cache_err" => set(&mut all.cache_err, name, ()),
            "source_check" => set(&mut all.source_check, name, ()),
            "no_handles" => set(&mut all.no_handles, name, ()),
            other => Err(Error::new(name.span(), unknown_to_memoize(other, is_alone(input)))),
        })?;
        Ok(all)
    }
}

fn unknown_to_memoize(option: &str, is_alone: bool) -> String {
    let instead = match option {
        "forced_update" => "write refresh",
        "response_filter" => "write filter = |result| …",
        "args_to_ignore" => "write ignore(connection)",
        "is_stale" => "give the result a version, or tags",
        "make_name" => "write name",
        "key" | "key_prefix" | "make_cache_key" => {
            "the arguments are the key: leave some out with ignore(…), or write identity: TYPE = \
             EXPR"
        }
        _ => {
            "the options are cache, of, name, identity, ignore, unordered, timeout, stale, unless, \
             refresh, version, type_version, tags, filter, expires, cache_none, cache_err, \
             source_check and no_handles"
        }
    };
    let is_cache = match is_alone {
        true => format!("if that is the cache, write cache = {option}; "),
        false => String::new(),
    };
    format!("#[memoize] has no option {option}: {is_cache}{instead}")
}

impl Parse for Invalidates {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut all = Self::default();
        each(input, |name, input| match name.to_string().as_str() {
            "cache" => set(&mut all.cache, name, value(name, input)?),
            "tags" => set(&mut all.tags, name, list(name, input)?),
            "keys" => set(&mut all.keys, name, value(name, input)?),
            "names" => set(&mut all.names, name, list(name, input)?),
            "memoized" => set(&mut all.memoized, name, value(name, input)?),
            "on_err" => set(&mut all.on_err, name, ()),
            other => {
                let instead = match other {
                    "prefix" | "key_prefix" | "pattern" => {
                        "add a tag to the cached entries, and write tags = […]"
                    }
                    _ => "the options are cache, tags, keys, names, memoized and on_err",
                };
                let why = format!("#[invalidates] has no option {other}: {instead}");
                Err(Error::new(name.span(), why))
            }
        })?;
        Ok(all)
    }
}

/// The expressions of a literal list, or an expression that returns a list.
pub(crate) enum List<'e> {
    Each(&'e ExprArray),
    Whole(&'e Expr),
}

impl<'e> From<&'e Expr> for List<'e> {
    fn from(expr: &'e Expr) -> Self {
        match expr {
            Expr::Array(array) => Self::Each(array),
            _ => Self::Whole(expr),
        }
    }
}

/// Parses options until the end of the input.
fn each(
    input: ParseStream<'_>,
    mut take: impl FnMut(&Ident, ParseStream<'_>) -> syn::Result<()>,
) -> syn::Result<()> {
    while !input.is_empty() {
        take(&Ident::parse_any(input)?, input)?;
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
    }
    Ok(())
}

fn set<T>(place: &mut Option<T>, name: &Ident, value: T) -> syn::Result<()> {
    if place.replace(value).is_some() {
        return Err(Error::new(name.span(), format!("{name} is given twice")));
    }
    Ok(())
}

fn value<T: Parse>(name: &Ident, input: ParseStream<'_>) -> syn::Result<T> {
    if !input.peek(Token![=]) {
        return Err(Error::new(name.span(), format!("write {name} = …")));
    }
    input.parse::<Token![=]>()?;
    input.parse()
}

/// Whether an option has no value.
fn is_alone(input: ParseStream<'_>) -> bool {
    input.is_empty() || input.peek(Token![,])
}

/// Parses a list. A string alone is rejected: its brackets are missing.
fn list(name: &Ident, input: ParseStream<'_>) -> syn::Result<Expr> {
    let list: Expr = value(name, input)?;
    match &list {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
            let why = format!("{name} is a list: write {name} = [{:?}]", text.value());
            Err(Error::new_spanned(&list, why))
        }
        Expr::Macro(ExprMacro { mac, .. }) if mac.path.is_ident("format") => {
            let why = format!("{name} is a list: write {name} = [format!(…)]");
            Err(Error::new_spanned(&list, why))
        }
        _ => Ok(list),
    }
}

fn typed_value(name: &Ident, input: ParseStream<'_>) -> syn::Result<(Type, Expr)> {
    if !input.peek(Token![:]) {
        let why = format!("write {name}: TYPE = EXPR, such as {name}: u32 = self.id");
        return Err(Error::new(name.span(), why));
    }
    input.parse::<Token![:]>()?;
    let ty = input.parse()?;
    Ok((ty, value(name, input)?))
}

/// Names in parentheses. `self` is allowed.
fn names(name: &Ident, input: ParseStream<'_>) -> syn::Result<Vec<Ident>> {
    if !input.peek(syn::token::Paren) {
        return Err(Error::new(name.span(), format!("write {name}(ARGUMENT, …)")));
    }
    let content;
    parenthesized!(content in input);
    let names = Punctuated::<Ident, Token![,]>::parse_terminated_with(&content, Ident::parse_any)?;
    Ok(names.into_iter().collect())
}
