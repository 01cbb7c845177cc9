//! Parses durations in options: a number of seconds, a string such as `"5m"`, or an expression,
//! which the compiler checks.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Error, Expr, ExprLit, Lit};

use crate::memoize::at;

/// A literal duration.
enum Literal {
    Never,
    After(Duration),
}

/// Expands a timeout.
pub(crate) fn timeout(expr: &Expr) -> syn::Result<TokenStream> {
    Ok(match literal("timeout", expr)? {
        Some(Literal::Never) => quote!(::fragcache::Timeout::Never),
        Some(Literal::After(ttl)) => {
            let ttl = written(ttl);
            quote!(::fragcache::Timeout::After(#ttl))
        }
        None => quote_spanned!(at(expr)=> ::fragcache::Timeout::from(#expr)),
    })
}

/// Expands a duration.
pub(crate) fn duration(option: &str, expr: &Expr) -> syn::Result<TokenStream> {
    match literal(option, expr)? {
        Some(Literal::After(ttl)) => Ok(written(ttl)),
        Some(Literal::Never) => {
            let why = format!(
                "{option} cannot be \"never\": write seconds (30), or a duration (\"30s\")"
            );
            Err(Error::new_spanned(expr, why))
        }
        None => Ok(quote!(#expr)),
    }
}

fn written(ttl: Duration) -> TokenStream {
    let (seconds, nanos) = (ttl.as_secs(), ttl.subsec_nanos());
    quote!(::core::time::Duration::new(#seconds, #nanos))
}

/// Parses a literal. `None` for any other expression.
fn literal(option: &str, expr: &Expr) -> syn::Result<Option<Literal>> {
    let refuse = |why: String| Err(Error::new_spanned(expr, why));
    let ttl = match expr {
        Expr::Lit(ExprLit { lit: Lit::Int(seconds), .. }) if seconds.suffix().is_empty() => {
            Duration::from_secs(seconds.base10_parse()?)
        }
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
            let text = text.value();
            let text = text.trim();
            match text.parse() {
                _ if text == "never" => return Ok(Some(Literal::Never)),
                Ok(seconds) => Duration::from_secs(seconds),
                Err(_) => match humantime::parse_duration(text) {
                    Ok(ttl) => ttl,
                    Err(cause) => {
                        return refuse(format!(
                            "{option} {text:?} is not a duration: {cause}; write seconds (300), a \
                             duration (\"90s\", \"1h 30m\") or \"never\""
                        ));
                    }
                },
            }
        }
        Expr::Lit(_) | Expr::Unary(_) => {
            return refuse(format!(
                "{option} is not a duration: write seconds (300), a duration (\"90s\", \"1500ms\") \
                 or \"never\""
            ));
        }
        Expr::Path(path) if path.path.is_ident("None") => {
            return refuse(format!(
                "{option} is none: write \"never\", or leave it out for the cache's default"
            ));
        }
        _ => return Ok(None),
    };
    if ttl.is_zero() {
        return refuse(format!(
            "{option} is 0, which Flask-Caching documents as \"for ever\" and Django as \"don't \
             cache\"; write \"never\" for no expiry, or unless = true to skip the cache"
        ));
    }
    Ok(Some(Literal::After(ttl)))
}
