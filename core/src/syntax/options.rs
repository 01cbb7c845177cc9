//! The names of a cache block's options, and the one that was most likely meant. What each option's
//! value may be: `arguments.rs` and `declared.rs`.

const KNOWN: [&str; 7] = ["unless", "refresh", "shared", "tags", "stale", "version", "using"];

/// The letter of an option whose value ends the argument list, as the site has it.
pub(super) fn letter(name: &str) -> char {
    match name {
        "unless" => 'u',
        "refresh" => 'r',
        "using" => 'c',
        _ => 'v',
    }
}

/// What is wrong with an option of this name; `None` for a known one.
pub(super) fn unknown(name: &str) -> Option<String> {
    if KNOWN.contains(&name) {
        return None;
    }
    let nearest = nearest(name).map(|near| format!("; did you mean `{near}`?"));
    Some(format!(
        "unknown option `{name}`: the options are `unless`, `refresh`, `shared`, `tags`, `stale`, \
         `version` and `using`{}",
        nearest.unwrap_or_default()
    ))
}

fn nearest(name: &str) -> Option<&'static str> {
    KNOWN
        .into_iter()
        .map(|known| (distance(name, known), known))
        .min()
        .filter(|&(distance, known)| distance * 2 <= known.len())
        .map(|(_, known)| known)
}

/// How many letters must be added, removed or changed to make `a` into `b`.
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
