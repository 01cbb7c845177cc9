//! Functions that cannot be memoized, and what to write instead; what of a function is in its key and
//! what it returns, as far as that can be refused.

use proc_macro2::Ident;
use syn::{Error, Expr, GenericParam, ReceiverKind, Signature, Type};

use crate::function::{Argument, Function, first_of, has_reference, is_called, mentions};
use crate::options::Memoize;

/// Types have no part in the key.
pub(crate) fn generics(sig: &Signature) -> syn::Result<()> {
    for param in &sig.generics.params {
        if !matches!(param, GenericParam::Lifetime(_)) {
            let why = "a generic function has a result for each type, and types have no name that is \
                       the same in every program: write a function for each type, or take `impl \
                       Serialize` where the value of an argument says all";
            return Err(Error::new_spanned(param, why));
        }
    }
    Ok(())
}

/// An instance is only read, and is told apart by what identifies it.
pub(crate) fn receiver(options: &Memoize, function: &Function) -> syn::Result<()> {
    if let Some(of) = options.of.as_ref().filter(|of| of.is_ident("Self")) {
        let why = "Self is the name of every type in its own impl: write the type's name";
        return Err(Error::new_spanned(of, why));
    }
    let Some(receiver) = function.receiver() else {
        let in_impl = mentions(&function.sig, "Self");
        if in_impl && options.of.is_none() && options.no_handles.is_none() {
            let why = "a function of a type needs the type's name, which an attribute does not see: \
                       write of = TYPE";
            return Err(Error::new_spanned(&function.sig, why));
        }
        return Ok(());
    };
    let refuse = |why: &str| Err(Error::new_spanned(receiver, why));
    let by_reference = match &receiver.kind {
        ReceiverKind::Reference(_, _, None) => true,
        ReceiverKind::Reference(_, _, Some(_)) => {
            return refuse(
                "a method that changes its instance cannot be memoized: a call whose result is kept \
                 would change nothing; take &self",
            );
        }
        ReceiverKind::Typed(_, ty) => {
            matches!(&**ty, Type::Reference(reference) if reference.mutability.is_none())
        }
        _ => false,
    };
    if !by_reference {
        return refuse(
            "a method that consumes its instance cannot be memoized: a call whose result is kept would \
             only drop it; take &self",
        );
    }
    if options.of.is_none() && options.name.is_none() {
        return refuse(
            "a method needs the name of its type, which an attribute does not see: write of = TYPE",
        );
    }
    let ignored = options.ignore.iter().flatten().any(|name| name == "self");
    if options.identity.is_none() && !ignored {
        return refuse(
            "a method needs what identifies its instance: write identity: TYPE = EXPR, such as \
             identity: u32 = self.id, or ignore(self) if all instances give the same results",
        );
    }
    Ok(())
}

/// Which arguments are part of the key.
pub(crate) fn varies(
    options: &Memoize,
    function: &Function,
    arguments: &[Argument],
    cache: &Expr,
) -> syn::Result<Vec<bool>> {
    let ignored = options.ignore.as_deref().unwrap_or_default();
    for name in ignored {
        let is_self = name == "self" && function.receiver().is_some();
        if !is_self && arguments.iter().all(|argument| argument.name != *name) {
            return Err(Error::new(name.span(), format!("there is no argument {name} to ignore")));
        }
    }
    let is_cache = |name: &Ident| matches!(cache, Expr::Path(path) if path.path.is_ident(name));
    let varies =
        |argument: &Argument| !ignored.contains(&argument.name) && !is_cache(&argument.name);
    for argument in arguments.iter().filter(|argument| varies(argument)) {
        if mentions(&argument.ty, "HashSet") {
            let why = format!(
                "a HashSet has another order in each instance, so equal ones would be different calls: \
                 take a BTreeSet or a sorted slice, or leave {} out of the key by ignore(…) and give a \
                 sorted copy as identity",
                argument.name
            );
            return Err(Error::new_spanned(&argument.ty, why));
        }
    }
    Ok(arguments.iter().map(varies).collect())
}

/// What the function returns, if it can be kept.
pub(crate) fn returned<'f>(options: &Memoize, function: &'f Function) -> syn::Result<&'f Type> {
    let Some(returned) = function.returned() else {
        let why = "a function that returns nothing has no result to keep";
        return Err(Error::new_spanned(&function.sig, why));
    };
    if mentions(returned, "impl") {
        let why = "what is kept is read again as a type that has a name: write it in place of impl";
        return Err(Error::new_spanned(returned, why));
    }
    let is_result = is_called(returned, "Result");
    if options.cache_err.is_some() && !mentions(returned, "Result") {
        let why = "cache_err is for a function whose type of result is called Result";
        return Err(Error::new_spanned(returned, why));
    }
    let kept = match first_of(returned) {
        Some(inner) if is_result && options.cache_err.is_none() => inner,
        _ => returned,
    };
    if has_reference(kept) {
        let why = "what is kept outlives what it was made of: return an owned type, such as a String, \
                   a Vec or an Arc";
        return Err(Error::new_spanned(kept, why));
    }
    Ok(returned)
}
