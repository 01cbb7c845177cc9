//! `#[memoize]`: generates the cached function and its handles. What a call does is defined in
//! `fragcache`; this module only generates the calls.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Error, Expr, FnArg, Pat, Signature, Type};
use xxhash_rust::xxh3::xxh3_64;

use crate::function::{Argument, Function, first_of, is_called, is_lint};
use crate::options::{List, Memoize};
use crate::{refuse, time};

/// Generates the cached function and the items beside it.
pub(crate) fn expand(options: &Memoize, function: &Function) -> syn::Result<TokenStream> {
    function.check("memoize")?;
    let memo = Memo::new(options, function)?;
    let asks = memo.function()?;
    let handles = if options.no_handles.is_some() { TokenStream::new() } else { memo.handles() };
    Ok(quote!(#asks #handles))
}

/// A memoized function.
struct Memo<'a> {
    options: &'a Memoize,
    function: &'a Function,
    cache: &'a Expr,
    /// All arguments except `self`.
    arguments: Vec<Argument>,
    /// Whether each argument is part of the key.
    varies: Vec<bool>,
    returned: &'a Type,
    name: TokenStream,
}

impl<'a> Memo<'a> {
    fn new(options: &'a Memoize, function: &'a Function) -> syn::Result<Self> {
        let sig = &function.sig;
        let Some(cache) = &options.cache else {
            let why = "write the cache for the results: #[memoize(cache = CACHE)], a static, an \
                       argument or a field such as self.cache";
            return Err(Error::new(Span::call_site(), why));
        };
        refuse::generics(sig)?;
        refuse::receiver(options, function)?;
        let arguments = function.arguments()?;
        let varies = refuse::varies(options, function, &arguments, cache)?;
        for (argument, _) in arguments.iter().zip(&varies).filter(|(_, varies)| **varies) {
            if let Type::Reference(reference) = &argument.ty
                && let Some(mutability) = &reference.mutability
            {
                let why = format!(
                    "a cached result changes no argument: take {0} by & or by value, or leave it \
                     out of the key with ignore({0}) if the result does not depend on it",
                    argument.name
                );
                return Err(Error::new(mutability.span, why));
            }
        }
        let returned = refuse::returned(options, function)?;
        Ok(Self {
            options,
            function,
            cache,
            arguments,
            varies,
            returned,
            name: name(options, function)?,
        })
    }

    fn is_result(&self) -> bool {
        is_called(self.returned, "Result")
    }

    /// Whether errors bypass the cache.
    fn tries(&self) -> bool {
        self.is_result() && self.options.cache_err.is_none()
    }

    /// Whether the result is an `Arc`, which callers share. An `Arc` of a type without a size, such
    /// as `str`, is a result like any other.
    fn is_shared(&self) -> bool {
        let kept = if self.tries() { first_of(self.returned) } else { Some(self.returned) };
        kept.filter(|kept| is_called(kept, "Arc")).and_then(first_of).is_some_and(|inner| {
            !is_called(inner, "str") && !matches!(inner, Type::Slice(_) | Type::TraitObject(_))
        })
    }

    /// The call, without its options. `identity` identifies the instance.
    fn call(&self, identity: Option<&Ident>) -> TokenStream {
        let name = &self.name;
        let begin = match identity {
            None => quote!(::fragcache::memoize::Function::new(#name).call()),
            Some(identity) => {
                quote!(::fragcache::memoize::Function::new(#name).of(&#identity).call())
            }
        };
        let parts = self.varying().map(|Argument { name, ty }| {
            // The argument's span: errors about unusable key parts point at the argument.
            if self.options.unordered.iter().flatten().any(|unordered| unordered == name) {
                quote_spanned!(ty.span()=> .arg(&::fragcache::memoize::Unordered(&#name)))
            } else {
                quote_spanned!(ty.span()=> .arg(&#name))
            }
        });
        quote!(#begin #(#parts)*)
    }

    fn varying(&self) -> impl Iterator<Item = &Argument> {
        self.arguments.iter().zip(&self.varies).filter(|(_, varies)| **varies).map(|(one, _)| one)
    }

    /// The options of the call. Type errors in an option point at the option.
    fn kept(&self) -> syn::Result<TokenStream> {
        let options = self.options;
        let (name, expected, source) =
            (&self.name, expected(options, self.function), self.source());
        // A separate block, so that no user expression sees the static.
        let mut kept = quote! {
            .site(
                {
                    static SITE: ::fragcache::memoize::CallSite =
                        ::fragcache::memoize::CallSite::new(#name, #expected, #source, &|| ());
                    &SITE
                },
                ::core::any::type_name_of_val(&|| ()),
            )
        };
        match (&options.timeout, &options.expires) {
            (Some(expr), _) => {
                let timeout = time::timeout(expr)?;
                kept.extend(quote_spanned!(at(expr)=> .timeout(#timeout)));
            }
            // `expires` limits the TTL.
            (None, Some(_)) => kept.extend(quote!(.never_expires())),
            (None, None) => {}
        }
        if let Some(expr) = &options.stale {
            let window = time::duration("stale", expr)?;
            kept.extend(quote_spanned!(at(expr)=> .stale(#window)));
        }
        if let Some(expr) = &options.unless {
            kept.extend(quote_spanned!(at(expr)=> .unless(#expr)));
        }
        if let Some(expr) = &options.refresh {
            kept.extend(quote_spanned!(at(expr)=> .refresh(#expr)));
        }
        if let Some(expr) = &options.version {
            kept.extend(quote_spanned!(at(expr)=> .version(#expr)));
        }
        if let Some(expr) = &options.type_version {
            kept.extend(quote_spanned!(at(expr)=> .type_version(#expr)));
        }
        match options.tags.as_ref().map(List::from) {
            Some(List::Each(tags)) => {
                let tags = tags.elems.iter();
                kept.extend(tags.map(|tag| quote_spanned!(at(tag)=> .tags([#tag]))));
            }
            Some(List::Whole(tags)) => kept.extend(quote_spanned!(at(tags)=> .tags(#tags))),
            None => {}
        }
        if options.source_check.is_some() {
            kept.extend(quote!(.source(#source)));
        }
        Ok(kept)
    }

    /// The digest of the function's signature and body.
    fn source(&self) -> u64 {
        let sig = self.function.sig.to_token_stream();
        xxh3_64(format!("{sig}{}", self.function.body).as_bytes())
    }

    /// The cached function.
    fn function(&self) -> syn::Result<TokenStream> {
        let (options, function) = (self.options, self.function);
        let [identity, call, result] = ["identity", "call", "result"].map(local);
        let identified =
            options.identity.as_ref().map(|(ty, expr)| quote!(let #identity: #ty = #expr;));
        let begun = self.call(options.identity.as_ref().map(|_| &identity));
        let (kept, runs, judged) = (self.kept()?, self.runs(&result), self.judged(&result));
        let body = quote! {{
            #runs
            #judged
            #result
        }};
        let (cache, is_async) = (self.cache, function.is_async());
        let ask = format!(
            "{}memoize{}{}",
            if self.tries() { "try_" } else { "" },
            if self.is_shared() { "_shared" } else { "" },
            if is_async { "_async" } else { "" }
        );
        let returned = self.returned;
        // The return type's span: errors about results that cannot be cached point there.
        let ask = Ident::new(&ask, returned.span());
        let ask = quote_spanned!(returned.span()=> ::fragcache::FragmentCache::#ask);
        let asked = if is_async {
            quote!(#ask(&(#cache), &#call, async #body).await)
        } else {
            quote!(#ask(&(#cache), &#call, || -> #returned #body))
        };
        let (attrs, vis) = (self.attrs_of_function(), &function.vis);
        let sig =
            if options.no_handles.is_some() { function.sig.clone() } else { plain(&function.sig) };
        Ok(quote! {
            #(#attrs)*
            #vis #sig {
                #identified
                let #call = #begun #kept;
                #asked
            }
        })
    }

    /// Runs the original function.
    fn runs(&self, result: &Ident) -> TokenStream {
        if self.options.no_handles.is_some() {
            return self.function.run_body(result);
        }
        let (uncached, names) = (self.uncached(), self.arguments.iter().map(|one| &one.name));
        let uncached = match (self.function.receiver(), &self.options.of) {
            (Some(receiver), _) => {
                let receiver = &receiver.self_token;
                quote!(#receiver.#uncached)
            }
            (None, Some(_)) => quote!(Self::#uncached),
            (None, None) => uncached.into_token_stream(),
        };
        let waits = self.function.is_async().then(|| quote!(.await));
        quote!(let #result = #uncached(#(#names),*) #waits;)
    }

    /// Applies the options to a result: whether it is cached, and its TTL.
    fn judged(&self, result: &Ident) -> TokenStream {
        let options = self.options;
        let (kept, none) = (local("kept"), self.none(result));
        let expires = options.expires.as_ref().map(|expires| {
            quote! {
                if let ::core::option::Option::Some(#kept) =
                    ::core::option::Option::map(::core::option::Option::Some(#kept), #expires)
                {
                    ::fragcache::current::expire_after(#kept);
                }
            }
        });
        let filter = options.filter.as_ref().map(|filter| {
            quote! {
                if !::core::option::Option::is_some_and(
                    ::core::option::Option::Some(#kept),
                    #filter,
                ) {
                    ::fragcache::current::veto_here();
                }
            }
        });
        let none = none.map(|none| {
            quote! {
                if #none {
                    ::fragcache::current::veto_here();
                }
            }
        });
        let of_kept = (expires.is_some() || filter.is_some()).then(|| {
            if self.tries() {
                quote!(if let ::core::result::Result::Ok(#kept) = &#result { #filter #expires })
            } else {
                quote!({ let #kept = &#result; #filter #expires })
            }
        });
        quote!(#none #of_kept)
    }

    /// Whether the result is, or contains, a `None` or an `Err` that is not cached.
    fn none(&self, result: &Ident) -> Option<TokenStream> {
        let unkept = self.unkept(self.returned, self.tries());
        (!unkept.is_empty()).then(|| quote!(::core::matches!(&#result, #(#unkept)|*)))
    }

    /// The patterns of a type's values that are not cached, as deep as the type is visible. If
    /// `is_tried`, the `Err` of the type bypasses the cache anyway.
    fn unkept(&self, ty: &Type, is_tried: bool) -> Vec<TokenStream> {
        let inner = || first_of(ty).map(|ty| self.unkept(ty, false)).unwrap_or_default();
        if is_called(ty, "Option") {
            let none = self.options.cache_none.is_none();
            let none = none.then(|| quote!(::core::option::Option::None));
            let some =
                inner().into_iter().map(|inner| quote!(::core::option::Option::Some(#inner)));
            none.into_iter().chain(some).collect()
        } else if is_called(ty, "Result") {
            let err = !is_tried && self.options.cache_err.is_none();
            let err = err.then(|| quote!(::core::result::Result::Err(_)));
            let ok = inner().into_iter().map(|inner| quote!(::core::result::Result::Ok(#inner)));
            err.into_iter().chain(ok).collect()
        } else {
            Vec::new()
        }
    }

    /// The uncached function, its calls, and the calls of an instance.
    fn handles(&self) -> TokenStream {
        let Function { vis, sig, body, .. } = self.function;
        let name = sig.ident.unraw();
        let (uncached, lints) = (self.uncached(), self.attrs_of_body());
        let of_all = self.attrs_of_all();
        let (of_all, function_name) = (&of_all, &self.name);
        let mut original = sig.clone();
        original.ident = uncached;
        // Arguments outside the key may be used by the options only.
        let typed = original.inputs.iter_mut().filter_map(|input| match input {
            FnArg::Typed(typed) => Some(typed),
            FnArg::Receiver(_) => None,
        });
        for (typed, _) in typed.zip(&self.varies).filter(|(_, varies)| !**varies) {
            typed.attrs.push(syn::parse_quote!(#[allow(unused_variables)]));
        }
        let all =
            format_ident!("{}_MEMO", name.to_string().to_uppercase(), span = sig.ident.span());
        let one = format_ident!("{name}_memo", span = sig.ident.span());
        let identity = local("identity");
        let identified =
            self.options.identity.as_ref().map(|(ty, _)| quote!(#identity: #ty)).into_iter();
        let typed = self.varying().map(|Argument { name, ty }| quote!(#name: #ty));
        let inputs = identified.clone().chain(typed);
        let call = self.call(self.options.identity.as_ref().map(|_| &identity));
        let (generics, bounds) = (&sig.generics, &sig.generics.where_clause);
        let quiet = quote! {
            #[allow(
                dead_code, clippy::extra_unused_lifetimes, clippy::needless_lifetimes,
                clippy::needless_pass_by_value, clippy::ptr_arg, clippy::too_many_arguments,
                clippy::trivially_copy_pass_by_ref, unreachable_pub
            )]
        };
        let of_instance = identified.map(|identity_of| {
            let of = format_ident!("{name}_memo_of", span = sig.ident.span());
            let about = format!(
                "All calls of `{name}` on one instance, for \
                 [`delete_memoized`](::fragcache::FragmentCache::delete_memoized)."
            );
            quote! {
                #(#of_all)*
                #[doc = #about]
                #quiet
                #vis fn #of #generics(#identity_of) -> ::fragcache::memoize::Method #bounds {
                    ::fragcache::memoize::Function::new(#function_name).of(&#identity)
                }
            }
        });
        let about_original = format!("`{name}` itself, which does not use the cache.");
        let about_all = format!(
            "All calls of `{name}`, for \
             [`delete_memoized`](::fragcache::FragmentCache::delete_memoized)."
        );
        let about_one = format!(
            "The call of `{name}` with these arguments, for \
             [`delete_memoized`](::fragcache::FragmentCache::delete_memoized)."
        );
        quote! {
            #(#lints)*
            #[doc = #about_original]
            #[allow(unreachable_pub)]
            #vis #original #body

            #(#of_all)*
            #[doc = #about_all]
            #[allow(dead_code, unreachable_pub)]
            #vis const #all: ::fragcache::memoize::Function = ::fragcache::memoize::Function::new(#function_name);

            #(#of_all)*
            #[doc = #about_one]
            #quiet
            #vis fn #one #generics(#(#inputs),*) -> ::fragcache::memoize::Call #bounds {
                #call
            }

            #(#of_instance)*
        }
    }

    fn uncached(&self) -> Ident {
        let ident = &self.function.sig.ident;
        format_ident!("{}_uncached", ident.unraw(), span = ident.span())
    }

    /// The attributes that affect callers; all attributes if the function contains the body.
    fn attrs_of_function(&self) -> impl Iterator<Item = &syn::Attribute> {
        let of_caller =
            ["doc", "cfg", "cfg_attr", "must_use", "deprecated", "inline", "allow", "track_caller"];
        let keeps_all = self.options.no_handles.is_some();
        self.function.attrs.iter().filter(move |attr| {
            keeps_all || of_caller.iter().any(|name| attr.path().is_ident(name))
        })
    }

    /// The attributes that affect the body, and other macros.
    fn attrs_of_body(&self) -> impl Iterator<Item = &syn::Attribute> {
        let of_caller = ["doc", "must_use", "deprecated"];
        self.function.attrs.iter().filter(move |attr| {
            is_lint(attr) || !of_caller.iter().any(|name| attr.path().is_ident(name))
        })
    }

    /// The attributes that decide whether the function exists.
    fn attrs_of_all(&self) -> Vec<&syn::Attribute> {
        self.function.attrs.iter().filter(|attr| attr.path().is_ident("cfg")).collect()
    }
}

/// A variable that user expressions do not see.
fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// A signature whose arguments are only passed on.
fn plain(sig: &Signature) -> Signature {
    let mut sig = sig.clone();
    for input in &mut sig.inputs {
        if let FnArg::Typed(typed) = input {
            typed.attrs.clear();
            if let Pat::Ident(pat) = &mut *typed.pat {
                pat.mutability = None;
            }
        }
    }
    sig
}

/// The function's name in the cache.
fn name(options: &Memoize, function: &Function) -> syn::Result<TokenStream> {
    if let Some(name) = &options.name {
        return Ok(name.to_token_stream());
    }
    if options.no_handles.is_some() {
        let why = "without handles, deletion needs a name: write name = \"…\", and delete with \
                   fragcache::memoize::Function::new(\"…\")";
        return Err(Error::new(function.sig.ident.span(), why));
    }
    Ok(expected(options, function))
}

/// The function's path, if it is not nested in another function.
fn expected(options: &Memoize, function: &Function) -> TokenStream {
    let mut name = function.sig.ident.unraw().to_string();
    if let Some(of) = &options.of {
        let of: Vec<_> = of.segments.iter().map(|part| part.ident.to_string()).collect();
        name = format!("{}::{name}", of.join("::"));
    }
    quote!(::core::concat!(::core::module_path!(), "::", #name))
}

/// The span for code generated around an option's expression. Lints still attribute the code to the
/// attribute.
pub(crate) fn at(expr: &Expr) -> Span {
    Span::call_site().located_at(expr.span())
}
