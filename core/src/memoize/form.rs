//! The form of a result: the shape of its type, and the function whose result it is. An entry of
//! another form is a miss.

use std::any::TypeId;
use std::borrow::Cow;

use serde::de::DeserializeOwned;

use super::Call;
use crate::values::seen::Seen;
use crate::values::shape;

/// Most forms that a site remembers. A function without type arguments has one, unless the version
/// of its type is computed.
const MOST: usize = 16;

/// The forms of the results at one place, so that a hit puts no digest together.
#[derive(Debug)]
pub(super) struct Forms(Seen<Form>);

#[derive(Debug, Clone)]
struct Form {
    result: TypeId,
    path: &'static str,
    source: Option<u64>,
    type_version: Option<u32>,
    digest: Box<str>,
}

impl Forms {
    pub(super) const fn new() -> Self {
        Self(Seen::new())
    }
}

/// The digest of the form of a call's result.
#[inline]
pub(super) fn of<T: DeserializeOwned + 'static>(call: &Call) -> Cow<'static, str> {
    let Call { type_version, source, .. } = *call;
    let Some((site, path)) = call.site else { return digest::<T>(call, call.path) };
    let result = TypeId::of::<T>();
    let is = |form: &Form| {
        form.result == result
            && (std::ptr::eq(form.path, path) || form.path == path)
            && form.source == source
            && form.type_version == type_version
    };
    let Forms(forms) = site.forms();
    if let Some(form) = forms.find(is) {
        return Cow::Borrowed(&form.digest);
    }
    let digest = digest::<T>(call, Some(site.digest(path)));
    if forms.len() >= MOST {
        return digest;
    }
    let form = Form { result, path, source, type_version, digest: (*digest).into() };
    Cow::Borrowed(&forms.add(|| form.clone(), is).digest)
}

fn digest<T: DeserializeOwned + 'static>(call: &Call, path: Option<u64>) -> Cow<'static, str> {
    let shape = shape::digest::<T>(call.type_version);
    match (path, call.source) {
        (None, None) => shape,
        (path, source) => {
            let [path, source] = [path, source].map(Option::unwrap_or_default);
            Cow::Owned(format!("{shape}{path:016x}{source:016x}"))
        }
    }
}
