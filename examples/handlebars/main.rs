//! How do I add `{% cache %}` to an engine that has custom tags or block helpers?
//!
//! `cargo run -p fragcache-examples --bin handlebars-cache`
#![allow(clippy::print_stdout, reason = "a command-line program")]

mod extension;
mod values;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use extension::{add_to_handlebars, register_template};
use fragcache::{FragmentCache, make_template_fragment_key};
use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, Output, RenderContext, handlebars_helper,
    no_escape,
};
use serde_json::{Value, json};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const PAGE: &str = r#"<h1>{{title}}</h1>
{{#cache 300 "sidebar" user.id lang tags=user.tags}}
<nav>{{user.name}} has {{slow}} messages
{{#cache "1h" "motto"}}<i>{{slow}}</i>{{/cache}}</nav>
{{/cache}}"#;

fn main() -> Outcome {
    hits_misses_and_deletions()?;
    nesting()?;
    escaping()?;
    options()?;
    errors()
}

/// Stands for something slow: counts its calls, and prints the count.
struct Slow(Arc<AtomicU32>);

impl HelperDef for Slow {
    fn call<'reg: 'rc, 'rc>(
        &self,
        _: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let call = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(write!(out, "{call}")?)
    }
}

/// A registry with a helper `slow` and its number of calls.
fn registry(cache: &FragmentCache) -> (Handlebars<'static>, Arc<AtomicU32>) {
    let mut registry = Handlebars::new();
    add_to_handlebars(&mut registry, cache.clone());
    let calls = Arc::new(AtomicU32::new(0));
    registry.register_helper("slow", Box::new(Slow(Arc::clone(&calls))));
    (registry, calls)
}

fn ada(lang: &str) -> Value {
    json!({ "title": "Home", "lang": lang, "user": { "id": 42, "name": "Ada & Co", "tags": ["user:42"] } })
}

fn hits_misses_and_deletions() -> Outcome {
    let cache = FragmentCache::in_memory();
    let (mut registry, calls) = registry(&cache);
    register_template(&mut registry, "page.html", PAGE)?;
    let render = |lang| registry.render("page.html", &ada(lang));

    let first = render("en")?;
    assert_eq!(render("en")?, first, "a hit prints what the miss printed");
    assert_eq!(calls.load(Ordering::Relaxed), 2, "and nothing in the body is evaluated");
    render("fr")?;
    assert_eq!(calls.load(Ordering::Relaxed), 3, "another language is another fragment");

    // By its key, which Rust code builds of the same name and values.
    cache.delete(&make_template_fragment_key("sidebar", ["42", "en"])).eventually();
    assert_ne!(render("en")?, first);
    assert_eq!(calls.load(Ordering::Relaxed), 4, "the fragment inside is still cached");
    render("fr")?;
    assert_eq!(calls.load(Ordering::Relaxed), 4);

    // By a tag: both languages.
    cache.invalidate_tags(["user:42"])?.eventually();
    render("en")?;
    render("fr")?;
    assert_eq!(calls.load(Ordering::Relaxed), 6);

    // A block in a chained `else if` has an id too.
    let chained = "{{#if no}}{{else if lang}}{{#cache 300 \"chained\"}}{{slow}}{{/cache}}{{/if}}";
    register_template(&mut registry, "chained.html", chained)?;
    assert_eq!(registry.render("chained.html", &ada("en"))?, "7");
    assert_eq!(registry.render("chained.html", &ada("en"))?, "7");

    // An edited block is a miss, an unedited one is not.
    register_template(&mut registry, "page.html", &PAGE.replace("<h1>", "<h1 class=wide>"))?;
    registry.render("page.html", &ada("en"))?;
    assert_eq!(calls.load(Ordering::Relaxed), 7);
    register_template(&mut registry, "page.html", &PAGE.replace("has", "got"))?;
    let edited = registry.render("page.html", &ada("en"))?;
    assert!(edited.contains("got 8 messages"), "{edited}");
    println!("{edited}");
    Ok(())
}

fn nesting() -> Outcome {
    let cache = FragmentCache::in_memory();
    let (mut registry, calls) = registry(&cache);
    register_template(&mut registry, "page.html", PAGE)?;
    let first = registry.render("page.html", &ada("en"))?;
    // A fragment ends with any fragment inside it.
    cache.delete(&make_template_fragment_key("motto", [""; 0])).eventually();
    assert_ne!(registry.render("page.html", &ada("en"))?, first);
    assert_eq!(calls.load(Ordering::Relaxed), 4);
    Ok(())
}

/// One cache serves pages and plain text; neither gets the other's markup.
fn escaping() -> Outcome {
    let cache = FragmentCache::in_memory();
    let source = "{{#cache 300 \"name\"}}{{user.name}}{{/cache}}";
    let (mut html, _) = registry(&cache);
    register_template(&mut html, "name", source)?;
    let (mut text, _) = registry(&cache);
    text.register_escape_fn(no_escape);
    register_template(&mut text, "name", source)?;
    for _ in 0..2 {
        assert_eq!(html.render("name", &ada("en"))?, "Ada &amp; Co");
        assert_eq!(text.render("name", &ada("en"))?, "Ada & Co");
    }
    assert_eq!(cache.stats().hits, 2);
    Ok(())
}

fn options() -> Outcome {
    let cache = FragmentCache::in_memory();
    let (mut registry, _) = registry(&cache);
    handlebars_helper!(upper: |text: str| text.to_uppercase());
    registry.register_helper("upper", Box::new(upper));
    let source = "{{#cache 300 (upper \"row\") unless=draft refresh=edit version=post.version stale=30}}{{slow}}{{/cache}}";
    register_template(&mut registry, "row.html", source)?;
    let render = |draft: bool, edit: bool, version: u32| {
        let data = json!({ "draft": draft, "edit": edit, "post": { "version": version } });
        registry.render("row.html", &data)
    };
    assert_eq!(render(false, false, 1)?, "1");
    assert_eq!(render(false, false, 1)?, "1");
    assert_eq!(render(true, false, 1)?, "2", "a draft goes past the cache");
    assert_eq!(render(false, true, 1)?, "3", "a refresh is stored");
    assert_eq!(render(false, false, 1)?, "3");
    assert_eq!(render(false, false, 2)?, "4", "another version is a miss");
    cache.delete(&make_template_fragment_key("ROW", [""; 0])).eventually();
    assert_eq!(render(false, false, 2)?, "5");
    Ok(())
}

fn errors() -> Outcome {
    let cache = FragmentCache::in_memory();
    let (mut registry, calls) = registry(&cache);
    // Found while the template is registered.
    for (source, problem) in [
        (
            "\n {{#cache 300 \"a\" unles=x}}{{/cache}}",
            "`unles` is not an option of `cache` (in page.html:2:2)",
        ),
        ("{{#each xs}}{{#cache 300}}{{this}}{{/cache}}{{/each}}", "(in page.html:1:13)"),
        ("{{#cache 300 \"a\"}}b{{else}}c{{/cache}}", "has no `else`"),
        (
            "{{#cache 300 \"a\"}}{{#*inline \"b\"}}c{{/inline}}{{/cache}}",
            "would not take effect after a hit",
        ),
    ] {
        let error = register_template(&mut registry, "page.html", source).err();
        let error = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(problem), "{source}: {error}");
    }
    // Found while it renders, with the place of the block.
    for (source, problem) in [
        ("\n {{#cache 0 \"a\"}}{{/cache}}", "timeout is 0"),
        (
            "\n {{#cache 300 \"a\" nobody.id}}{{/cache}}",
            "the first vary part of the key is undefined",
        ),
        (
            "\n {{#cache 300 \"a\" tags=\"nav\"}}{{/cache}}",
            "tags is the text \"nav\": write a list",
        ),
    ] {
        register_template(&mut registry, "page.html", source)?;
        let error = registry.render("page.html", &ada("en")).err();
        let cause = error.as_ref().and_then(std::error::Error::source).map(ToString::to_string);
        let cause = cause.unwrap_or_default();
        assert!(cause.contains(problem) && cause.ends_with("(in page.html:2:2)"), "{cause}");
    }
    // A body that fails is not stored, and nobody waits for it.
    let source = "{{#cache 300 \"a\"}}{{slow}}{{#if broken}}{{nothing.at.all}}{{/if}}{{/cache}}";
    register_template(&mut registry, "page.html", source)?;
    registry.set_strict_mode(true);
    assert!(registry.render("page.html", &json!({ "broken": true })).is_err());
    assert_eq!(registry.render("page.html", &json!({ "broken": false }))?, "2");
    assert_eq!(registry.render("page.html", &json!({ "broken": true }))?, "2", "a hit");
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    // A template that was registered without its ids.
    registry.register_template_string("raw.html", "{{#cache 300 \"b\"}}{{/cache}}")?;
    let error = registry.render("raw.html", &ada("en")).err();
    assert!(error.is_some_and(|error| error.to_string().contains("`register_template`")));
    Ok(())
}
