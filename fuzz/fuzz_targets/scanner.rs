//! The scanner against MiniJinja's own tokenizer: a template around a cache block that the engine
//! takes with an `if` in the block's place, it takes rewritten, and the other way round.
#![no_main]

use fragcache::syntax::{Syntax, rewrite};
use libfuzzer_sys::fuzz_target;
use minijinja::syntax::SyntaxConfig;

fn takes(source: &str) -> bool {
    minijinja::machinery::parse(source, "page.html", SyntaxConfig::default()).is_ok()
}

fuzz_target!(|text: &str| {
    // The fuzzer may place the tags anywhere, by two characters that no template needs.
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
