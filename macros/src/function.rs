//! The parsed function: its arguments, its return type, and the checks that both attributes share.
//! The body is passed on unparsed.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::{
    Attribute, Error, FnArg, GenericArgument, Pat, PathArguments, Receiver, ReturnType, Safety,
    Signature, Type, Visibility,
};

/// A function with a body.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    pub(crate) body: TokenTree,
}

/// A named argument.
pub(crate) struct Argument {
    pub(crate) name: Ident,
    pub(crate) ty: Type,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let (vis, sig) = (input.parse()?, input.parse()?);
        if input.peek(syn::Token![;]) {
            return Err(
                input.error("a function without a body: write the attribute where the body is")
            );
        }
        Ok(Self { attrs, vis, sig, body: input.parse()? })
    }
}

impl Function {
    /// Rejects functions that neither attribute supports.
    pub(crate) fn check(&self, attribute: &str) -> syn::Result<()> {
        let sig = &self.sig;
        if let Some(constness) = &sig.constness {
            let why = "a const fn may run at compile time, where there is no cache: leave out \
                       const";
            return Err(Error::new_spanned(constness, why));
        }
        if !matches!(sig.safety, Safety::Default) {
            let why = format!(
                "#[{attribute}] would call an unsafe function whose requirements are not checked: \
                 write a safe function around it, with the attribute"
            );
            return Err(Error::new(sig.fn_token.span, why));
        }
        if let Some(abi) = &sig.abi {
            let why = "a function for other languages: let it call a Rust function that has the \
                       attribute";
            return Err(Error::new_spanned(abi, why));
        }
        // The tests cannot turn on the feature.
        if self.is_async() && !cfg!(any(feature = "async", test)) {
            let why = "an async fn needs the feature async of fragcache: write features = \
                       [\"async\", \"macros\"] in Cargo.toml";
            return Err(Error::new_spanned(sig.fn_token, why));
        }
        if self.returned().is_some_and(|ty| mentions(ty, "Future")) {
            let why = "the function returns before its future has run: write async fn (in a trait \
                       too; an attribute that rewrites it comes after this one)";
            return Err(Error::new_spanned(&sig.output, why));
        }
        Ok(())
    }

    pub(crate) fn receiver(&self) -> Option<&Receiver> {
        self.sig.receiver()
    }

    pub(crate) fn is_async(&self) -> bool {
        self.sig.asyncness.is_some()
    }

    /// The arguments except `self`. Each must have a name.
    pub(crate) fn arguments(&self) -> syn::Result<Vec<Argument>> {
        let typed = self.sig.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(typed) => Some(typed),
            FnArg::Receiver(_) => None,
        });
        let argument = |typed: &syn::PatType| {
            if let Some(attr) = typed.attrs.iter().find(|attr| !is_lint(attr)) {
                let why =
                    "an attribute on an argument: write it on the function, or write two functions";
                return Err(Error::new_spanned(attr, why));
            }
            match &*typed.pat {
                Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => {
                    Ok(Argument { name: pat.ident.clone(), ty: (*typed.ty).clone() })
                }
                Pat::Wild(pat) => {
                    let why = "an argument without a name: give it one, and leave it out of the \
                               key with ignore(NAME) if the result does not depend on it";
                    Err(Error::new_spanned(pat, why))
                }
                pat => {
                    let why = "a pattern instead of an argument's name: name the argument, and \
                               destructure it in the body with let";
                    Err(Error::new_spanned(pat, why))
                }
            }
        };
        typed.map(argument).collect()
    }

    /// The return type, if written.
    pub(crate) fn returned(&self) -> Option<&Type> {
        match &self.sig.output {
            ReturnType::Default => None,
            ReturnType::Type(_, ty) => Some(ty),
        }
    }

    /// The return type as tokens: `()` if none is written, `_` for `impl` types, which cannot be
    /// repeated.
    pub(crate) fn returned_tokens(&self) -> TokenStream {
        match self.returned() {
            None => quote!(()),
            Some(ty) if mentions(ty, "impl") => quote!(_),
            Some(ty) => ty.to_token_stream(),
        }
    }

    /// Runs the body in place and binds its result to `result`. A `return` in the body stays
    /// inside.
    pub(crate) fn run_body(&self, result: &Ident) -> TokenStream {
        let (body, returned) = (&self.body, self.returned_tokens());
        if self.is_async() {
            // Fixes the type of the block, which the question marks in it need.
            let typed = quote! {
                if let ::core::option::Option::Some(#result) =
                    ::core::option::Option::None::<#returned>
                {
                    return #result;
                }
            };
            // Call-site braces around a single expression would trigger the lint `unused_braces`.
            let mut body = body.clone();
            body.set_span(Span::mixed_site().located_at(body.span()));
            quote!(let #result = async { #typed #body }.await;)
        } else {
            // A closure passed to `unwrap_or_else` is `FnOnce`, so the body may move out of its
            // captures. A helper function is no option: the body would see its name.
            quote! {
                let #result =
                    ::core::option::Option::unwrap_or_else(
                        ::core::option::Option::None,
                        || -> #returned #body,
                    );
            }
        }
    }
}

/// Whether an attribute only controls lints.
pub(crate) fn is_lint(attr: &Attribute) -> bool {
    ["allow", "expect", "warn", "deny", "forbid"].iter().any(|lint| attr.path().is_ident(lint))
}

/// Whether the tokens contain this word.
pub(crate) fn mentions(tokens: impl ToTokens, word: &str) -> bool {
    words(tokens).any(|found| found == word)
}

/// All words in the tokens.
pub(crate) fn words(tokens: impl ToTokens) -> impl Iterator<Item = String> {
    fn within(tokens: TokenStream, words: &mut Vec<String>) {
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => words.push(ident.to_string()),
                TokenTree::Group(group) => within(group.stream(), words),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
    let mut words = Vec::new();
    within(tokens.to_token_stream(), &mut words);
    words.into_iter()
}

/// Whether a type contains a reference.
pub(crate) fn has_reference(ty: &Type) -> bool {
    fn within(tokens: TokenStream) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Punct(punct) => punct.as_char() == '&',
            TokenTree::Group(group) => within(group.stream()),
            TokenTree::Ident(_) | TokenTree::Literal(_) => false,
        })
    }
    within(ty.to_token_stream())
}

/// Whether the last segment of a type is `name`.
pub(crate) fn is_called(ty: &Type, name: &str) -> bool {
    match ty {
        Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == name),
        _ => false,
    }
}

/// The first type argument of a type, such as the `T` of a `Result<T, E>`.
pub(crate) fn first_of(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}
