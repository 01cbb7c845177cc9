//! `#[invalidates]`: a function that writes and then invalidates what it changed.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::{Error, Expr};

use crate::function::{Function, is_called};
use crate::options::{Invalidates, List};

pub(crate) fn expand(options: &Invalidates, function: &Function) -> syn::Result<TokenStream> {
    function.check("invalidates")?;
    let Some(cache) = &options.cache else {
        let why = "write the cache to invalidate in: #[invalidates(cache = CACHE, …)], a static, \
                   an argument or a field such as self.cache";
        return Err(Error::new(Span::call_site(), why));
    };
    let lists = [&options.tags, &options.keys, &options.names, &options.memoized];
    if lists.iter().all(|list| list.is_none()) {
        let why = "write what to invalidate: tags, keys, names or memoized";
        return Err(Error::new(Span::call_site(), why));
    }
    let batch = Ident::new("batch", Span::mixed_site());
    let one = Ident::new("one", Span::mixed_site());
    // No cached entry has an invalid tag or call, so there is nothing to invalidate.
    let tags = each(options.tags.as_ref(), &one, &quote!(let _ = #batch.invalidate_tags([#one]);));
    let keys = each(
        options.keys.as_ref(),
        &one,
        &quote!(#batch.delete(::core::borrow::Borrow::<::fragcache::FragmentKey>::borrow(&#one));),
    );
    let names = each(options.names.as_ref(), &one, &quote!(#batch.delete_name(#one);));
    let memoized = match options.memoized.as_ref().map(List::from) {
        None => TokenStream::new(),
        Some(List::Each(calls)) => {
            let calls = calls.elems.iter();
            quote!(#(let _ = #batch.delete_memoized(#calls);)*)
        }
        Some(List::Whole(calls)) => quote!(let _ = #batch.delete_memoized(#calls);),
    };
    let runs = applied(options, function, &batch);
    let Function { attrs, vis, sig, .. } = function;
    Ok(quote! {
        #(#attrs)*
        #vis #sig {
            let mut #batch = ::fragcache::FragmentCache::batch(&(#cache));
            #tags
            #keys
            #names
            #memoized
            #runs
        }
    })
}

/// Applies `act` to each item of a list.
fn each(list: Option<&Expr>, one: &Ident, act: &TokenStream) -> TokenStream {
    match list.map(List::from) {
        None => TokenStream::new(),
        Some(List::Each(list)) => {
            let elements = list.elems.iter();
            quote!(#({ let #one = #elements; #act })*)
        }
        Some(List::Whole(list)) => quote!(for #one in #list { #act }),
    }
}

/// Runs the function and applies the batch after it.
fn applied(options: &Invalidates, function: &Function, batch: &Ident) -> TokenStream {
    let result = Ident::new("result", Span::mixed_site());
    let (runs, is_async) = (function.run_body(&result), function.is_async());
    let can_fail =
        options.on_err.is_none() && function.returned().is_some_and(|ty| is_called(ty, "Result"));
    let judged = if can_fail {
        quote!(#result)
    } else {
        quote!(::core::result::Result::Ok::<_, ::core::convert::Infallible>(#result))
    };
    let applied = if is_async {
        quote! {
            ::fragcache::InvalidationBatch::apply_after_async(#batch, async { #runs #judged }).await
        }
    } else {
        quote!(::fragcache::InvalidationBatch::apply_after(#batch, || { #runs #judged }))
    };
    if can_fail {
        return applied;
    }
    quote! {
        match #applied {
            ::core::result::Result::Ok(#result) => #result,
            ::core::result::Result::Err(never) => match never {},
        }
    }
}
