//! Tracks the namespaces of a render. A hit would skip a change that a cached body
//! makes to a namespace from outside, under any name and through any macro or
//! include. Such a body is printed and not stored.

use minijinja::value::{Kwargs, ObjectRepr};
use minijinja::{Environment, Error, State, Value};

/// Limits of the comparison: levels of lists and maps in a namespace, and values in total. A render
/// with larger namespaces is not stored.
const MOST_LEVELS: usize = 16;
const MOST_VALUES: usize = 10_000;

/// All namespaces of a render in creation order, as an extension of the engine's state.
#[derive(Debug, Default)]
struct Made(Vec<Value>);

/// The contents of the namespaces when a cache block was opened.
#[derive(Debug)]
pub(crate) struct Before(Vec<Option<String>>);

/// Wraps the environment's function `namespace` so that it records what it creates.
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

/// The current contents of the render's namespaces.
pub(crate) fn before(state: &mut State<'_, '_>) -> Before {
    Before(made(state).iter().map(text).collect())
}

/// Whether the contents of a namespace differ from `before`.
pub(crate) fn is_changed(state: &mut State<'_, '_>, before: &Before) -> bool {
    before.0.iter().zip(made(state)).any(|(before, now)| before.is_none() || *before != text(now))
}

/// The text of a namespace's contents; `None` if it is too large.
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
