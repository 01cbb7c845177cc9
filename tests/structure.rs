//! Rules for the structure of the core crate and of the rewriter: their rooms (the modules at the
//! root) import each other in one direction only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::fixtures;

/// Each room with the rooms that it imports, and a file that does.
type Imports = BTreeMap<String, BTreeMap<String, String>>;

/// The source without comments and without the modules of tests.
fn code(source: &str) -> String {
    let lines = source.lines().map(|line| line.split("//").next().unwrap_or_default());
    let code: Vec<&str> = lines.collect();
    let code = code.join("\n");
    match code.find("mod tests {") {
        Some(end) => code[..end].to_owned(),
        None => code,
    }
}

/// The names that follow `crate::` in this code, also in groups and in qualified paths.
fn imported(code: &str) -> BTreeSet<String> {
    let name = |text: &str| -> String {
        text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut found = BTreeSet::new();
    let paths = code.match_indices("crate::").filter(|(at, _)| !code[..*at].ends_with('$'));
    for (at, _) in paths {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => {
                let group = group.split('}').next().unwrap_or_default();
                found.extend(group.split(',').map(|item| name(item.trim())));
            }
            None => {
                found.insert(name(rest));
            }
        }
    }
    found
}

fn is_test(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    parts.iter().any(|part| part == "tests" || part == "tests.rs")
        || path.ends_with("memoize/arguments.rs")
}

/// The files of a crate that are built without tests: room, file, code.
fn sources(package: &str) -> Vec<(String, String, String)> {
    let source = fixtures("..").join(package).join("src");
    let mut folders = vec![source.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let below = path.strip_prefix(&source).unwrap().to_owned();
            let room = below.iter().next().unwrap().to_string_lossy();
            let room = room.trim_end_matches(".rs").to_owned();
            let is_built_for_tests = matches!(&*room, "lib" | "history" | "model" | "tests");
            if !is_built_for_tests && !is_test(&below) {
                let text = std::fs::read_to_string(&path).unwrap();
                sources.push((room, below.display().to_string(), code(&text)));
            }
        }
    }
    sources
}

fn imports(package: &str) -> Imports {
    let sources = sources(package);
    let mut imports: Imports =
        sources.iter().map(|(room, ..)| (room.clone(), BTreeMap::new())).collect();
    for (room, file, code) in &sources {
        // Items of the crate root are no rooms.
        let rooms = imported(code).into_iter().filter(|other| imports.contains_key(other));
        for other in rooms.filter(|other| other != room).collect::<Vec<_>>() {
            imports.get_mut(room).unwrap().entry(other).or_insert_with(|| file.clone());
        }
    }
    imports
}

/// The rooms of one circle, if there is one: what is left once all rooms without imports are taken
/// away, again and again.
fn circle(imports: &Imports) -> Vec<(&str, &str, &str)> {
    let mut left: BTreeMap<&str, BTreeMap<&str, &str>> = imports
        .iter()
        .map(|(room, others)| {
            (&**room, others.iter().map(|(other, file)| (&**other, &**file)).collect())
        })
        .collect();
    loop {
        let done: Vec<&str> = left
            .iter()
            .filter(|(_, others)| others.keys().all(|other| !left.contains_key(other)))
            .map(|(room, _)| *room)
            .collect();
        if done.is_empty() {
            break;
        }
        done.iter().for_each(|room| drop(left.remove(room)));
    }
    let edges = left.iter().flat_map(|(room, others)| {
        let others = others.iter().filter(|(other, _)| left.contains_key(*other));
        others.map(move |(other, file)| (*room, *other, *file))
    });
    edges.collect()
}

#[test]
fn rooms_of_core_import_each_other_in_one_direction() {
    one_direction("core", 30, 100);
}

#[test]
fn rooms_of_the_rewriter_import_each_other_in_one_direction() {
    one_direction("syntax", 20, 60);
}

/// Checks that the rooms of a crate form no circle, and that so many rooms and imports were found.
fn one_direction(package: &str, rooms: usize, edges: usize) {
    let imports = imports(package);
    assert!(imports.len() >= rooms, "only {} rooms were found", imports.len());
    let found: usize = imports.values().map(BTreeMap::len).sum();
    assert!(found > edges, "only {found} imports were found");
    let found = circle(&imports);
    assert!(found.is_empty(), "these imports form a circle: {found:#?}");
}

#[test]
fn core_imports_nothing_through_its_root() {
    for (_, file, code) in sources("core") {
        // `current` is a module that the root shows, and not one of its rooms.
        let is_of_root = |name: &String| name.starts_with(char::is_uppercase) || name == "current";
        let found: Vec<String> = imported(&code).into_iter().filter(is_of_root).collect();
        assert!(found.is_empty(), "{file} imports {found:?} through the root of the crate");
    }
}

#[test]
fn a_circle_is_found() {
    let edge = |from: &str, to: &str| {
        (from.to_owned(), BTreeMap::from([(to.to_owned(), format!("{from}.rs"))]))
    };
    let rooms = Imports::from([edge("a", "b"), edge("b", "c"), edge("c", "b"), edge("d", "a")]);
    let found: BTreeSet<&str> = circle(&rooms).iter().map(|(room, ..)| *room).collect();
    assert!(found.is_superset(&BTreeSet::from(["b", "c"])), "{found:?}");
    let names = imported("use crate::{near::Near, far::Far};\nfn f() { crate::clock::instant() }");
    assert_eq!(names, ["clock", "far", "near"].map(str::to_owned).into());
}
