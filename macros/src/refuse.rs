//! Rejects functions that cannot be memoized and says what to write instead. Also decides which
//! arguments are in the key, and checks the return type.

use proc_macro2::Ident;
use syn::{
    Error, Expr, GenericArgument, GenericParam, PathArguments, ReceiverKind, Signature, Type,
};

use crate::function::{Argument, Function, first_of, has_reference, is_called, mentions, words};
use crate::options::Memoize;

/// Rejects generic functions: types cannot be part of the key.
pub(crate) fn generics(sig: &Signature) -> syn::Result<()> {
    for param in &sig.generics.params {
        if !matches!(param, GenericParam::Lifetime(_)) {
            let why = "a generic function has a result for each type, and types have no name that \
                       is the same in every program: write a function for each type, or take `impl \
                       Serialize` if the serialized value identifies the result";
            return Err(Error::new_spanned(param, why));
        }
    }
    Ok(())
}

/// Requires a shared receiver with an identity.
pub(crate) fn receiver(options: &Memoize, function: &Function) -> syn::Result<()> {
    if let Some(of) = options.of.as_ref().filter(|of| of.is_ident("Self")) {
        let why = "Self is the name of every type in its own impl: write the type's name";
        return Err(Error::new_spanned(of, why));
    }
    let Some(receiver) = function.receiver() else {
        let in_impl = mentions(&function.sig, "Self");
        if in_impl && options.of.is_none() && options.no_handles.is_none() {
            let why = "a function of a type needs the type's name, which an attribute cannot see: \
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
                "a method that changes its instance cannot be memoized: a cached call would change \
                 nothing; take &self",
            );
        }
        ReceiverKind::Typed(_, ty) => {
            matches!(&**ty, Type::Reference(reference) if reference.mutability.is_none())
        }
        _ => false,
    };
    if !by_reference {
        return refuse(
            "a method that consumes its instance cannot be memoized: a cached call would only drop \
             it; take &self",
        );
    }
    if options.of.is_none() && options.name.is_none() {
        return refuse(
            "a method needs the name of its type, which an attribute cannot see: write of = TYPE",
        );
    }
    let ignored = options.ignore.iter().flatten().any(|name| name == "self");
    if options.identity.is_none() && !ignored {
        return refuse(
            "a method needs the identity of its instance: write identity: TYPE = EXPR, such as \
             identity: u32 = self.id, or ignore(self) if all instances give the same results",
        );
    }
    Ok(())
}

/// Decides which arguments are part of the key.
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
    let varying: Vec<_> = arguments.iter().filter(|argument| varies(argument)).collect();
    unordered(options, &varying)?;
    sets(options, &varying)?;
    Ok(arguments.iter().map(varies).collect())
}

/// Requires every `unordered` name to be an argument in the key.
fn unordered(options: &Memoize, varying: &[&Argument]) -> syn::Result<()> {
    for name in options.unordered.iter().flatten() {
        if varying.iter().all(|argument| argument.name != *name) {
            let those: Vec<_> = varying.iter().map(|argument| argument.name.to_string()).collect();
            let those = match those.as_slice() {
                [] => "it has no arguments".to_owned(),
                _ => format!("its arguments are {}", those.join(", ")),
            };
            let why = format!("there is no argument {name} in the key to be unordered: {those}");
            return Err(Error::new(name.span(), why));
        }
    }
    Ok(())
}

/// Rejects sets that would enter the key with their accidental order.
fn sets(options: &Memoize, varying: &[&Argument]) -> syn::Result<()> {
    for argument in varying {
        let is_unordered = options.unordered.iter().flatten().any(|name| *name == argument.name);
        if let Some(set) = set_in(&argument.ty, is_unordered) {
            let fix = match set_in(&argument.ty, true) {
                None => format!("write unordered({}), or take a BTreeSet", argument.name),
                Some(_) => {
                    "take it inside an Unordered<…>, or a BTreeSet; unordered(…) does not reach \
                     into other types"
                        .to_owned()
                }
            };
            return Err(Error::new_spanned(&argument.ty, no_order(&set, &fix)));
        }
    }
    if let Some((ty, _)) = &options.identity
        && let Some(set) = set_in(ty, false)
    {
        let fix = "write identity: Unordered<…> = Unordered(…), or a BTreeSet";
        return Err(Error::new_spanned(ty, no_order(&set, fix)));
    }
    Ok(())
}

fn no_order(set: &str, fix: &str) -> String {
    format!(
        "a {set} has a different order in each instance, so equal values would be different calls: \
         {fix}"
    )
}

/// The name of an unordered type in this type, except inside `Unordered`.
fn set_in(ty: &Type, is_unordered: bool) -> Option<String> {
    let is_set = |name: &str| name.ends_with("HashSet") || name == "BinaryHeap";
    match ty {
        Type::Reference(reference) => set_in(&reference.elem, is_unordered),
        Type::Paren(paren) => set_in(&paren.elem, is_unordered),
        Type::Group(group) => set_in(&group.elem, is_unordered),
        Type::Slice(slice) => set_in(&slice.elem, false),
        Type::Array(array) => set_in(&array.elem, false),
        Type::Tuple(tuple) => tuple.elems.iter().find_map(|ty| set_in(ty, false)),
        Type::Path(path) if path.qself.is_none() => {
            let last = path.path.segments.last()?;
            let name = last.ident.to_string();
            if is_set(&name) && !is_unordered {
                return Some(name);
            }
            // These wrappers serialize as their content.
            let is_inside = match name.as_str() {
                "Unordered" => true,
                "Option" | "Box" | "Rc" | "Arc" | "Cow" => is_unordered,
                _ => false,
            };
            let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
            arguments.args.iter().find_map(|argument| match argument {
                GenericArgument::Type(ty) => set_in(ty, is_inside),
                _ => None,
            })
        }
        other => words(other).find(|word| is_set(word)),
    }
}

/// Whether a type is a `Result`, or an `Option` of one at any depth.
fn has_result(ty: &Type) -> bool {
    is_called(ty, "Result") || is_called(ty, "Option") && first_of(ty).is_some_and(has_result)
}

/// The return type, if it can be cached.
pub(crate) fn returned<'f>(options: &Memoize, function: &'f Function) -> syn::Result<&'f Type> {
    let Some(returned) = function.returned() else {
        let why = "a function that returns nothing has no result to cache";
        return Err(Error::new_spanned(&function.sig, why));
    };
    if mentions(returned, "impl") {
        let why = "a cached result is read back as a named type: write the type instead of impl";
        return Err(Error::new_spanned(returned, why));
    }
    let is_result = is_called(returned, "Result");
    if options.cache_err.is_some() && !has_result(returned) {
        let why = "cache_err is for a function that returns a Result, or an Option of one";
        return Err(Error::new_spanned(returned, why));
    }
    let kept = match first_of(returned) {
        Some(inner) if is_result && options.cache_err.is_none() => inner,
        _ => returned,
    };
    if has_reference(kept) {
        let why = "a cached result outlives its arguments: return an owned type, such as a String, \
                   a Vec or an Arc";
        return Err(Error::new_spanned(kept, why));
    }
    Ok(returned)
}
