//! The names of a cache block's options, and suggestions for unknown ones. `arguments.rs` and
//! `declared.rs` check the values.

const KNOWN: [&str; 7] = ["unless", "refresh", "shared", "tags", "stale", "version", "using"];

/// The letter, in a [`BlockId`](super::site::BlockId), of an option whose value ends the argument
/// list.
pub(super) fn letter(name: &str) -> char {
    match name {
        "unless" => 'u',
        "refresh" => 'r',
        "using" => 'c',
        _ => 'v',
    }
}

/// Describes what is wrong with an option of this name; `None` for a known one.
pub(super) fn unknown(name: &str) -> Option<String> {
    if KNOWN.contains(&name) {
        return None;
    }
    if let Some(what) = positional(name) {
        return Some(format!(
            "`{name}` is not an option: timeout, name and vary parts are positional; write \
             {what}"
        ));
    }
    let nearest = nearest(name).map(|near| format!("; did you mean `{near}`?"));
    Some(format!(
        "unknown option `{name}`: the options are `unless`, `refresh`, `shared`, `tags`, `stale`, \
         `version` and `using`{}",
        nearest.unwrap_or_default()
    ))
}

/// What to write instead of a named argument that is positional.
fn positional(name: &str) -> Option<&'static str> {
    Some(match name {
        "timeout" | "ttl" | "expire" | "expires" | "expires_in" | "max_age" | "duration"
        | "seconds" => "the timeout first, without a name: `cache 300, …`",
        "name" | "key" | "fragment_name" | "fragment" | "cache_key" | "id" => {
            "the name second, after a timeout or `default`: `cache 300, \"sidebar\"`"
        }
        "vary" | "vary_on" | "vary_by" | "varies" | "parts" => {
            "each vary part separately, after the name: `cache 300, \"sidebar\", user.id`"
        }
        _ => return None,
    })
}

fn nearest(name: &str) -> Option<&'static str> {
    KNOWN
        .into_iter()
        .map(|known| (distance(name, known), known))
        .min()
        .filter(|&(distance, known)| distance * 2 <= known.len())
        .map(|(_, known)| known)
}

/// The number of letters that must be added, removed or changed to turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().take(32).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.chars().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}
