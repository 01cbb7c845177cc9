//! Input of hostile size and spelling. It may be refused, but must not panic, hang, leave a flight
//! open or change what other fragments serve.

use fragcache::fragment_key_at;
use fragcache::key::MAX_KEY_BYTES;
use serde_json::json;

use super::Witness;
use crate::support::{Kind, cache, cache_with};

#[test]
fn a_ten_megabyte_template_loads_and_renders() {
    let row = "<p>{% raw %}{% cache %}{% endraw %} lorem ipsum {# {% cache %} #} \u{1f980}</p>\n";
    let filler = row.repeat((5 << 20) / row.len());
    for kind in Kind::BOTH {
        let (cache, _clock) = cache();
        let mut engine = kind.with_cache(&cache);
        let block = "{% cache 300 %}{{ tick(name=\"a\") }}small{% endcache %}";
        let source = format!("{filler}{block}{filler}");
        assert!(source.len() > 9 << 20);
        engine.add("page.txt", &source).unwrap();
        let first = engine.render("page.txt", &json!({})).unwrap();
        assert_eq!(engine.render("page.txt", &json!({})).unwrap(), first, "{kind}");
        assert_eq!(engine.counts().take().0["a"], 1, "{kind}");
        let line = u32::try_from(filler.matches('\n').count() + 1).unwrap();
        assert!(cache.contains(&fragment_key_at("page.txt", line)).unwrap(), "{kind}");
        assert_eq!(engine.blocks()[0].line(), line);
    }
}

#[test]
fn ten_thousand_nested_blocks_are_refused_where_it_gets_too_deep() {
    let source = format!("{}{}", "{% cache 1 %}".repeat(10_000), "{% endcache %}".repeat(10_000));
    for (kind, most) in [(Kind::MiniJinja, 49), (Kind::Tera, 13)] {
        let (cache, _clock) = cache();
        let mut engine = kind.with_cache(&cache);
        let syntax = engine.syntax();
        let witness = Witness::load(&mut *engine, &syntax);
        let failure = engine.add("page.html", &source).unwrap_err();
        let ours = failure.ours.unwrap();
        assert!(ours.message().contains("nests deeper"), "{ours}");
        assert_eq!(ours.location().unwrap().column, 13 * most + 1, "{kind}");
        assert_eq!(cache.stats().flights, 0);
        witness.check(&*engine);
    }
}

#[test]
fn the_deepest_nesting_that_loads_renders_also_with_options() {
    for (kind, most) in [(Kind::MiniJinja, 49), (Kind::Tera, 13)] {
        let (cache, _clock) = cache();
        let mut engine = kind.with_cache(&cache);
        let open = "{% cache 300, \"x\", unless=no, refresh=no %}".repeat(most);
        let source = format!("{open}x{}", "{% endcache %}".repeat(most));
        engine.add("page.html", &source).unwrap_or_else(|failure| panic!("{kind}: {failure}"));
        assert_eq!(engine.render("page.html", &json!({ "no": false })).unwrap(), "x", "{kind}");
    }
}

#[test]
fn ten_thousand_blocks_side_by_side_work() {
    let source = "{% cache 300 %}{{ tick(name=\"a\") }}x{% endcache %}\n".repeat(10_000);
    for kind in Kind::BOTH {
        let (cache, _clock) = cache();
        let mut engine = kind.with_cache(&cache);
        engine.add("page.txt", &source).unwrap();
        for expected in [Some(&10_000), None] {
            assert!(engine.render("page.txt", &json!({})).unwrap().starts_with("x\nx\n"));
            assert_eq!(engine.counts().take().0.get("a"), expected, "{kind}");
        }
        assert_eq!(cache.stats().entries, 10_000);
    }
}

#[test]
fn a_key_over_the_limit_is_rendered_and_counted() {
    for kind in Kind::BOTH {
        let (cache, _clock) = cache();
        let mut engine = kind.with_cache(&cache);
        let syntax = engine.syntax();
        let witness = Witness::load(&mut *engine, &syntax);
        let source = "{% cache 300, \"x\", part %}{{ tick(name=\"a\") }}{{ n }}{% endcache %}";
        engine.add("page.html", source).unwrap();
        // Kind, tag and length of the name, and of the part.
        let overhead = 1 + (1 + 1 + 1) + (1 + 2);
        for (length, cached) in
            [(MAX_KEY_BYTES - overhead, true), (MAX_KEY_BYTES - overhead + 1, false)]
        {
            let before = cache.stats();
            let page = |n: u32| {
                let context = json!({ "part": "p".repeat(length), "n": n });
                engine.render("page.html", &context).unwrap()
            };
            assert_eq!(page(1), "1", "{kind}");
            assert_eq!(page(2), if cached { "1" } else { "2" }, "{kind} {length}");
            let refused = cache.stats().refusals - before.refusals;
            assert_eq!(refused, if cached { 0 } else { 2 }, "{kind} {length}");
            assert_eq!(cache.stats().flights, 0);
        }
        engine.counts().take();
        witness.check(&*engine);
    }
}

#[test]
fn a_body_over_the_entry_limit_is_rendered_and_counted() {
    for kind in Kind::BOTH {
        let (cache, _clock) = cache_with(|builder| builder.max_entry_bytes(1000));
        let mut engine = kind.with_cache(&cache);
        let syntax = engine.syntax();
        let witness = Witness::load(&mut *engine, &syntax);
        let source = "{% cache 300, \"outer\" %}{{ tick(name=\"outer\") }}{% cache 300, \"big\" %}\
                      {{ tick(name=\"big\") }}{{ repeat(text=\"x\", times=times) }}{% endcache %}\
                      {% endcache %}";
        engine.add("page.txt", source).unwrap();
        for _ in 0..2 {
            let page = engine.render("page.txt", &json!({ "times": 2000 })).unwrap();
            assert_eq!(page.len(), 2000, "{kind}");
            assert_eq!(engine.counts().take().0.len(), 2, "{kind}");
        }
        assert_eq!((cache.stats().refusals, cache.stats().flights), (4, 0), "{kind}");
        // A smaller body of the same key is stored later.
        for expected in [2, 0] {
            engine.render("page.txt", &json!({ "times": 10 })).unwrap();
            assert_eq!(engine.counts().take().0.len(), expected, "{kind}");
        }
        witness.check(&*engine);
    }
}

#[test]
fn hostile_template_names_stay_names() {
    let names = [
        "a\nb.html",
        "../../etc/passwd",
        "a\0b.html",
        "\u{1b}[31mred",
        "%41.html",
        "",
        " ",
        "a\"b'c{% endcache %}.html",
    ];
    for kind in Kind::BOTH {
        let (cache, _clock) = cache();
        let mut engine = kind.with_cache(&cache);
        for (index, name) in names.iter().enumerate() {
            let source =
                format!("\n{{% cache 300 %}}{{{{ tick(name=\"a\") }}}}{index}{{% endcache %}}");
            engine
                .add(name, &source)
                .unwrap_or_else(|failure| panic!("{kind} {name:?}: {failure}"));
            for expected in [Some(&1), None] {
                let page = engine.render(name, &json!({})).unwrap();
                assert_eq!(page, format!("\n{index}"), "{kind} {name:?}");
                assert_eq!(engine.counts().take().0.get("a"), expected, "{kind} {name:?}");
            }
            let key = fragment_key_at(name, 2);
            assert!(cache.contains(&key).unwrap(), "{kind} {name:?}");
            assert!(!key.to_string().contains(char::is_control), "{key}");
            assert_eq!(engine.blocks().iter().filter(|b| b.template() == *name).count(), 1);
            // The error for such a template fits on one line.
            let failure = engine.add(name, "\n {% endcache %}").unwrap_err();
            let ours = failure.ours.unwrap();
            assert!(!ours.to_string().contains(char::is_control), "{ours}");
            assert_eq!(&*ours.location().unwrap().template, *name);
        }
        assert_eq!(cache.stats().entries, names.len() as u64, "{kind}");
    }
}

#[test]
fn a_key_printed_in_a_comment_cannot_end_it() {
    let key = fragcache::fragment_key!("search", "--><script>alert(1)</script>");
    let shown = key.to_string();
    assert!(!shown.contains('\n'));
    // Display does not escape for HTML, as documented; a key printed by an engine is escaped.
    for kind in Kind::BOTH {
        let (cache, _clock) = cache();
        let mut engine = kind.with_cache(&cache);
        engine.add("page.html", "<!-- {{ key }} -->").unwrap();
        let page = engine.render("page.html", &json!({ "key": shown })).unwrap();
        assert_eq!(page.matches("-->").count(), 1, "{page}");
        assert!(!page.contains("<script>"), "{page}");
    }
}
