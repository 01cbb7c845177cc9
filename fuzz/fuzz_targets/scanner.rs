//! Compares the scanner with MiniJinja's own tokenizer. If a cache block is replaced with an `if`
//! block, the engine must accept the result if and only if it accepts the rewritten template.
#![no_main]

use fragcache_syntax::{Syntax, rewrite};
use libfuzzer_sys::fuzz_target;
use minijinja::syntax::SyntaxConfig;

fn takes(source: &str) -> bool {
    minijinja::machinery::parse(source, "page.html", SyntaxConfig::default()).is_ok()
}

fuzz_target!(|text: &str| {
    // Two characters that no template needs stand for the tags, so the fuzzer can
    // place them anywhere.
    if text.contains("cache") || text.len() > 4096 {
        return;
    }
    let cached = text
        .replace('\u{1}', "{% cache 300, none, 1 %}")
        .replace('\u{2}', "{% endcache %}");
    let native = text
        .replace('\u{1}', "{% if (300, none, 1) %}")
        .replace('\u{2}', "{% endif %}");
    if let Ok(page) = rewrite("page.html", &cached, &Syntax::minijinja()) {
        assert_eq!(takes(page.source()), takes(&native), "{}", page.source());
    }
});
