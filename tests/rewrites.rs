//! The rewriter on whole files: a snapshot of the rewritten source of each file in
//! `fixtures/rewrites`, for each engine. All lines and all bytes outside the tags are unchanged.

use std::fmt::Write;

use fragcache::syntax::{Rewritten, Syntax, rewrite};

use crate::support::fixtures;

#[test]
fn every_file_is_lowered_as_recorded() {
    insta::glob!("../fixtures/rewrites", "*.html", |path| {
        let source = std::fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        let mut snapshot = String::new();
        for (engine, syntax) in [("minijinja", Syntax::minijinja()), ("tera", Syntax::tera())] {
            let page = rewrite(&name, &source, &syntax).unwrap();
            check(&source, &page);
            write!(snapshot, "# {engine}\n{}\n", page.source()).unwrap();
        }
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false,
            snapshot_path => fixtures("rewrites/snapshots") }, {
            insta::assert_snapshot!("rewrite", snapshot);
        });
    });
}

fn check(source: &str, page: &Rewritten<'_>) {
    let lowered = page.source();
    assert_eq!(lowered.matches('\n').count(), source.matches('\n').count());
    // The map leads every character outside the tags back to its original place.
    for (at, c) in lowered.char_indices() {
        let original = page.map().original(at);
        let in_tag = page.blocks().iter().any(|block| block.span().contains(&original));
        assert!(in_tag || source[original..].starts_with(c), "{at}: {c:?}");
    }
    let depth = page.blocks().iter().map(|block| block.depth()).max();
    assert_eq!(depth.is_some(), lowered != source);
}
