//! Rewrites arbitrary text: no panic, no lost line, and a source without blocks is unchanged.
#![no_main]

use fragcache_syntax::{Syntax, rewrite};
use libfuzzer_sys::fuzz_target;

fn check(source: &str, syntax: &Syntax) {
    let Ok(page) = rewrite("page.html", source, syntax) else { return };
    let lines = |text: &str| text.matches('\n').count();
    assert_eq!(lines(page.source()), lines(source));
    assert!(!page.blocks().is_empty() || page.source() == source);
    for block in page.blocks() {
        assert!(source.get(block.span()).is_some());
    }
    for at in 0..=page.source().len() {
        let range = page.map().original_range(at..page.source().len());
        assert!(range.start <= range.end && range.end <= source.len());
    }
}

fuzz_target!(|source: &str| {
    check(source, &Syntax::minijinja());
    check(source, &Syntax::tera());
    let lines = Syntax::minijinja()
        .with_block_delimiters("<%", "%>")
        .with_variable_delimiters("${", "}")
        .with_line_statement_prefix(Some("#"))
        .with_line_comment_prefix(Some("##"))
        .with_lstrip_blocks(true);
    check(source, &lines);
});
