//! Detects `call` block contents that a render passes on as values: as an argument, in a list, in
//! a namespace. What a cached body does with such a value is not known when its template loads. A
//! block that may see one, and whose fragments no vary part distinguishes, is printed and not
//! stored. The check runs only once a loaded template passes a `caller` on.

use minijinja::value::{ObjectRepr, ValueKind};
use minijinja::{State, Value};

use crate::namespaces;

/// Limits of the search: levels of lists and maps in a variable, and values in total. A render with
/// larger variables is not stored.
const MOST_LEVELS: usize = 16;
const MOST_VALUES: usize = 10_000;

/// Whether a visible variable holds, or may hold, a `caller` under another name.
pub(crate) fn are_seen(state: &mut State<'_, '_>) -> bool {
    let names: Vec<String> =
        state.known_variables().into_iter().map(std::borrow::Cow::into_owned).collect();
    // Uses of `caller` by its own name are found when the template loads.
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

/// The engine passes the content of a call block as a macro named `caller`.
fn is_caller(value: &Value) -> bool {
    macro_name(value).is_some_and(|name| name.as_str() == Some("caller"))
}

/// The name of a macro. Macros are recognized by their attributes.
pub(crate) fn macro_name(value: &Value) -> Option<Value> {
    let attribute = |name: &str| value.get_attr(name).unwrap_or_default();
    let is_macro = attribute("arguments").kind() == ValueKind::Seq
        && attribute("caller").kind() == ValueKind::Bool;
    is_macro.then(|| attribute("name"))
}
