//! The contents of `call` blocks that a render hands on as values: as an argument, in a list, by a
//! namespace. What a cached body does with one of them is not known when its template loads, so a
//! block that could see one, and that nothing tells apart, is printed and not stored. Looked for only
//! once a template was loaded that hands a `caller` on.

use minijinja::value::{ObjectRepr, ValueKind};
use minijinja::{State, Value};

use crate::namespaces;

/// Most levels of lists and maps in a variable, and most values, that are looked at. A render with
/// larger variables is not stored.
const MOST_LEVELS: usize = 16;
const MOST_VALUES: usize = 10_000;

/// Whether a variable that is in sight holds a `caller` under another name, or may.
pub(crate) fn are_seen(state: &mut State<'_, '_>) -> bool {
    let names: Vec<String> =
        state.known_variables().into_iter().map(std::borrow::Cow::into_owned).collect();
    // By its own name it is known when the template loads.
    let variables = names.iter().filter(|name| *name != "caller");
    let mut values: Vec<Value> = variables.filter_map(|name| state.lookup(name)).collect();
    values.extend(namespaces::made(state).iter().cloned());
    let mut left = MOST_VALUES;
    values.iter().any(|value| holds_caller(value, MOST_LEVELS, &mut left))
}

fn holds_caller(value: &Value, levels: usize, left: &mut usize) -> bool {
    let Some(object) = value.as_object() else { return false };
    if levels == 0 || *left == 0 {
        return true;
    }
    *left -= 1;
    if is_caller(value) {
        return true;
    }
    let is_map = match object.repr() {
        ObjectRepr::Map => true,
        ObjectRepr::Seq => false,
        _ => return false,
    };
    let Ok(items) = value.try_iter() else { return false };
    items.into_iter().any(|item| {
        let held = if is_map { value.get_item(&item).unwrap_or_default() } else { item };
        holds_caller(&held, levels - 1, left)
    })
}

/// What a call block fills in is a macro of this name.
fn is_caller(value: &Value) -> bool {
    macro_name(value).is_some_and(|name| name.as_str() == Some("caller"))
}

/// The name of a macro. Macros show themselves by their attributes.
pub(crate) fn macro_name(value: &Value) -> Option<Value> {
    let attribute = |name: &str| value.get_attr(name).unwrap_or_default();
    let is_macro = attribute("arguments").kind() == ValueKind::Seq
        && attribute("caller").kind() == ValueKind::Bool;
    is_macro.then(|| attribute("name"))
}
