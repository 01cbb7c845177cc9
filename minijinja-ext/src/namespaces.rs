//! The namespaces that a render makes. A cached body that changes one from outside, by whatever name
//! and through whatever macro or include, would be missed by a hit: it is printed and not stored.

use minijinja::value::{Kwargs, ObjectRepr};
use minijinja::{Environment, Error, State, Value};

/// Most levels of lists and maps in a namespace, and most values, that are compared. A render whose
/// namespaces hold more is not stored.
const MOST_LEVELS: usize = 16;
const MOST_VALUES: usize = 10_000;

/// All namespaces of a render, as an extension of the engine's state, in the order in which they
/// were made.
#[derive(Debug, Default)]
struct Made(Vec<Value>);

/// What the namespaces held when a cache block opened.
#[derive(Debug)]
pub(crate) struct Before(Vec<Option<String>>);

/// Has the environment's function `namespace` note what it makes.
pub(crate) fn register(env: &mut Environment<'_>) {
    let found = env.globals().find(|(name, _)| *name == "namespace");
    let Some((_, make)) = found else { return };
    env.add_function(
        "namespace",
        move |state: &mut State<'_, '_>,
              first: Option<Value>,
              fields: Kwargs|
              -> Result<Value, Error> {
            let mut arguments: Vec<Value> = first.into_iter().collect();
            if fields.args().next().is_some() {
                let fields = fields.args().map(|name| Ok((name, fields.get::<Value>(name)?)));
                let fields: Vec<(&str, Value)> = fields.collect::<Result<_, Error>>()?;
                arguments.push(Kwargs::from_iter(fields).into());
            }
            let made = make.call(state, &arguments)?;
            state.get_or_insert_extension_with(Made::default).0.push(made.clone());
            Ok(made)
        },
    );
}

/// The namespaces of the render.
pub(crate) fn made<'s>(state: &'s mut State<'_, '_>) -> &'s [Value] {
    state.get_extension_mut::<Made>().map(|made| made.0.as_slice()).unwrap_or_default()
}

/// What the namespaces of the render hold.
pub(crate) fn before(state: &mut State<'_, '_>) -> Before {
    Before(made(state).iter().map(text).collect())
}

/// Whether one of the namespaces holds something else now.
pub(crate) fn is_changed(state: &mut State<'_, '_>, before: &Before) -> bool {
    before.0.iter().zip(made(state)).any(|(before, now)| before.is_none() || *before != text(now))
}

/// A namespace's representation; `None` if it is too large.
fn text(namespace: &Value) -> Option<String> {
    let mut out = String::new();
    let mut left = MOST_VALUES;
    write(&mut out, namespace, MOST_LEVELS, &mut left).then_some(out)
}

fn write(out: &mut String, value: &Value, levels: usize, left: &mut usize) -> bool {
    if levels == 0 || *left == 0 {
        return false;
    }
    *left -= 1;
    let is_map = match value.as_object().map(|object| object.repr()) {
        Some(ObjectRepr::Map) => true,
        Some(ObjectRepr::Seq) => false,
        _ => {
            let safe = value.is_safe();
            out.push_str(&format!("{}{safe}:{value:?};", value.kind()));
            return true;
        }
    };
    out.push(if is_map { '{' } else { '[' });
    let Ok(items) = value.try_iter() else { return false };
    for item in items {
        if is_map {
            let Ok(held) = value.get_item(&item) else { return false };
            if !write(out, &item, levels - 1, left) || !write(out, &held, levels - 1, left) {
                return false;
            }
        } else if !write(out, &item, levels - 1, left) {
            return false;
        }
    }
    out.push(if is_map { '}' } else { ']' });
    true
}
