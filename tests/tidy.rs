//! Rules for the sources.

use std::path::{Path, PathBuf};

use crate::support::fixtures;

const PACKAGES: [&str; 11] = [
    "syntax",
    "core",
    "config",
    "stores",
    "macros",
    "minijinja-ext",
    "tera-ext",
    "tower-ext",
    "cli",
    "servers",
    "inspector",
];
/// A file may be as long as one thing is. Beyond this it is more than one.
const MOST_LINES: usize = 900;

fn root() -> PathBuf {
    fixtures("..")
}

/// All files below a folder with this extension, with their text.
fn files(folder: &Path, extension: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

fn sources() -> Vec<(PathBuf, String)> {
    PACKAGES.iter().flat_map(|package| files(&root().join(package), "rs")).collect()
}

#[test]
fn every_file_has_a_header_and_is_short() {
    let sources = sources();
    assert!(sources.len() > 80, "only {} files found", sources.len());
    for (path, text) in &sources {
        assert!(text.starts_with("//!"), "{} starts without //!", path.display());
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines", path.display());
    }
}

#[test]
fn nothing_is_left_undone_or_skipped() {
    // Written in pieces, so that this file contains none of them.
    let words = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[", "ignore"),
        concat!("thread", "::sleep"),
        concat!("FIX", "ME"),
    ];
    let mut all = sources();
    all.extend(files(&root().join("tests"), "rs"));
    for (path, text) in &all {
        for word in words {
            assert!(!text.contains(word), "{} holds {word}", path.display());
        }
    }
}

#[test]
fn every_error_snapshot_and_story_snapshot_has_its_file() {
    for (folder, prefix) in [
        ("config", "config@"),
        ("errors", "error@"),
        ("stories", "story@"),
        ("rewrites", "rewrite@"),
    ] {
        let folder = fixtures(folder);
        let (mut checked, snapshots) = (0, folder.join("snapshots"));
        for (path, _) in files(&snapshots, "snap") {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let input = name.strip_prefix(prefix).and_then(|name| name.strip_suffix(".snap"));
            let input = input.unwrap_or_else(|| panic!("{name} is no snapshot of a fixture"));
            assert!(folder.join(input).is_file(), "{name} has no fixture");
            checked += 1;
        }
        let inputs = std::fs::read_dir(&folder).unwrap().count() - 1;
        assert_eq!(checked, inputs, "fixtures in {} without a snapshot", folder.display());
    }
}

/// The version of a package that a workspace manifest requires.
fn version_of(manifest: &str, package: &str) -> String {
    let manifest: toml::Table = manifest.parse().unwrap();
    let dependency = &manifest["workspace"]["dependencies"][package];
    let version = dependency.get("version").unwrap_or(dependency);
    version.as_str().unwrap().to_owned()
}

#[test]
fn the_readme_opens_with_the_versions_that_are_built() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let engines = [
        ("MiniJinja", version_of(&manifest, "minijinja")),
        ("Tera", version_of(&manifest, "tera")),
    ];
    let pages: Vec<String> = ["README.md", "COMPATIBILITY.md"]
        .iter()
        .filter_map(|page| std::fs::read_to_string(root().join(page)).ok())
        .collect();
    assert!(!pages.is_empty(), "neither page is there");
    for page in pages {
        for (engine, version) in &engines {
            let told = page.lines().any(|line| line.contains(engine) && line.contains(version));
            assert!(told, "no line tells of {engine} {version}");
        }
    }
}

#[test]
fn the_pages_name_no_file_that_is_gone() {
    let pages = [
        "README.md",
        "ARCHITECTURE.md",
        "DESIGN.md",
        "COMPATIBILITY.md",
        "CONTRIBUTING.md",
        "benches/README.md",
        "docs/cli.md",
        "docs/config.md",
        "docs/deleting.md",
        "docs/engines.md",
        "docs/files.md",
        "docs/functions.md",
        "docs/inspector.md",
        "docs/keys.md",
        "docs/memcached.md",
        "docs/nesting.md",
        "docs/observing.md",
        "docs/operation.md",
        "docs/own-store.md",
        "docs/read-points.md",
        "docs/redis.md",
        "docs/rust.md",
        "docs/several-caches.md",
        "docs/stale-windows.md",
        "docs/stores.md",
        "docs/strategies.md",
        "docs/tags.md",
        "docs/templates.md",
        "docs/testing.md",
        "docs/values.md",
        "docs/views.md",
        "examples/README.md",
        "fixtures/flask/README.md",
    ];
    for page in pages {
        let text = std::fs::read_to_string(root().join(page)).unwrap();
        let folder = root().join(page);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            assert!(folder.parent().unwrap().join(path).exists(), "{page} links to {path}");
        }
    }
}
