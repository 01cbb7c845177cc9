//! Mistakes under a policy that renders uncached instead of failing.

use fragcache::{ErrorPolicy, FragmentCache, Policy};
use serde_json::{Value as Json, json};

use super::Witness;
use crate::support::{Engine, Kind, cache_with};

/// Opening tags that cannot be cached, and whether the cause is the timeout rather than the key.
const MISTAKES: [(&str, bool); 9] = [
    ("cache zero, \"x\"", true),
    ("cache before, \"x\"", true),
    ("cache nan(), \"x\"", true),
    ("cache soon, \"x\"", true),
    ("cache lief, \"x\"", true),
    ("cache list, \"x\"", true),
    ("cache 300, \"x\", nobody", false),
    ("cache 300, \"x\", user", false),
    ("cache 300, nobody", false),
];

/// An engine whose cache renders mistakes uncached, and a fragment that it has stored.
fn forgiving(kind: Kind) -> (FragmentCache, Box<dyn Engine>, Witness) {
    let policy = Policy::default().bad_arguments(ErrorPolicy::Uncached);
    let (cache, _clock) = cache_with(|builder| builder.policy(policy));
    let mut engine = kind.with_cache(&cache);
    let syntax = engine.syntax();
    let witness = Witness::load(&mut *engine, &syntax);
    (cache, engine, witness)
}

#[test]
fn a_mistake_is_rendered_uncached_and_counted() {
    for kind in Kind::BOTH {
        for (tag, timeout) in MISTAKES {
            let (cache, mut engine, witness) = forgiving(kind);
            let source = format!(
                "{{% cache 300, \"outer\" %}}{{% {tag} %}}{{{{ tick(name=\"a\") }}}}{{{{ n }}}}\
                 {{% endcache %}}{{% endcache %}}"
            );
            engine.add("page.html", &source).unwrap();
            for n in [1, 2] {
                let context = json!({ "n": n, "user": { "id": 7 }, "zero": 0,
                    "before": -1, "soon": "soon", "list": [300] });
                // The outer fragment is not stored either, because it contains one
                // that is not cacheable.
                assert_eq!(
                    engine.render("page.html", &context).unwrap(),
                    n.to_string(),
                    "{kind} {tag}"
                );
                assert_eq!(engine.counts().take().0["a"], 1, "{kind} {tag}");
            }
            let stats = cache.stats();
            assert_eq!((stats.flights, stats.entries, stats.errors), (0, 1, 0), "{kind} {tag}");
            // Each render counts the mistake, and that the outer fragment was vetoed.
            assert_eq!(stats.refusals, 4, "{kind} {tag} {timeout}");
            assert!(stats.bypasses >= 2, "{kind} {tag}");
            witness.check(&*engine);
        }
    }
}

/// Blocks whose options or bodies use the variable `v`, with a wrong value and a
/// correct one. `None` means that the variable is not set.
fn blocks() -> Vec<(&'static str, Option<Json>, Json)> {
    let many: Vec<String> = (0..65).map(|number| number.to_string()).collect();
    let declared = "cache 300, \"x\", tags=v %}";
    let item = "cache 300, \"x\", tags=[\"nav\", v] %}";
    let stale = "cache 300, \"x\", stale=v %}";
    let version = "cache 300, \"x\", version=v %}";
    let using = "cache 300, \"x\", using=v %}";
    let late = "cache 300, \"x\" %}{{ cache_tags(tags=v) }}";
    let expire = "cache 300, \"x\" %}{{ cache_expire(after=v) }}";
    vec![
        (declared, None, json!(["a"])),
        (declared, Some(json!("a")), json!(["a"])),
        (declared, Some(json!({ "a": 1 })), json!([1, "b"])),
        (declared, Some(json!(null)), json!([])),
        (declared, Some(json!([1.5])), json!([15])),
        (declared, Some(json!(many)), json!(many[..64])),
        (item, None, json!("a")),
        (item, Some(json!("")), json!(" ")),
        (item, Some(json!("t".repeat(257))), json!("t".repeat(256))),
        (item, Some(json!(true)), json!("true")),
        (item, Some(json!(["a"])), json!(7)),
        (stale, None, json!(30)),
        (stale, Some(json!(-1)), json!("30s")),
        (stale, Some(json!("soon")), json!(null)),
        (stale, Some(json!(1e300)), json!(1e3)),
        (stale, Some(json!([30])), json!("30")),
        (version, None, json!(1)),
        (version, Some(json!({ "a": 1 })), json!([1, "a"])),
        (late, None, json!(["a"])),
        (late, Some(json!("a")), json!(["a"])),
        (late, Some(json!([""])), json!([])),
        (late, Some(json!([{ "id": 1 }])), json!(many)),
        (expire, None, json!(30)),
        (expire, Some(json!("del")), json!("30s")),
        (expire, Some(json!("soon")), json!(null)),
        (expire, Some(json!(1e300)), json!(1e3)),
        (expire, Some(json!([30])), json!("30")),
        (using, Some(json!("pags")), json!("default")),
        (using, Some(json!("")), json!("default")),
        (using, Some(json!(7)), json!("default")),
        (using, Some(json!(null)), json!("default")),
    ]
}

#[test]
fn a_mistaken_option_or_call_is_rendered_uncached_until_it_is_none() {
    for kind in Kind::BOTH {
        for (block, bad, good) in blocks() {
            let what = format!("{kind} {block} {bad:?}");
            let (cache, mut engine, witness) = forgiving(kind);
            let source = format!(
                "{{% cache 300, \"outer\" %}}<{{% {block}{{{{ tick(name=\"a\") }}}}{{{{ n }}}}\
                 {{% endcache %}}>{{% endcache %}}"
            );
            engine.add("page.html", &source).unwrap();
            let page = |n: u32, value: Option<&Json>| {
                let mut context = json!({ "n": n });
                if let Some(value) = value {
                    context["v"] = value.clone();
                }
                let page = engine.render("page.html", &context).unwrap();
                (page, engine.counts().take().0.contains_key("a"))
            };
            for n in [1, 2] {
                assert_eq!(page(n, bad.as_ref()), (format!("<{n}>"), true), "{what}");
                let stats = cache.stats();
                assert_eq!((stats.flights, stats.entries, stats.errors), (0, 1, 0), "{what}");
                assert_eq!(stats.refusals, 2 * u64::from(n), "{what}: each block is counted");
            }
            // A render without the mistake is stored, and no follower waits.
            assert_eq!(page(3, Some(&good)), ("<3>".to_owned(), true), "{what}");
            assert_eq!(page(4, Some(&good)), ("<3>".to_owned(), false), "{what}");
            let stats = cache.stats();
            assert_eq!((stats.flights, stats.entries, stats.waits), (0, 3, 0), "{what}");
            witness.check(&*engine);
        }
    }
}

#[test]
fn a_literal_that_names_no_cache_loads_and_is_rendered_uncached() {
    for kind in Kind::BOTH {
        let (cache, mut engine, witness) = forgiving(kind);
        let source = "{% cache 300, \"x\", using=\"pags\" %}{{ n }}{% endcache %}";
        engine.add("page.html", source).unwrap();
        for n in ["1", "2"] {
            assert_eq!(engine.render("page.html", &json!({ "n": n })).unwrap(), n, "{kind}");
        }
        let stats = cache.stats();
        assert_eq!((stats.refusals, stats.entries, stats.flights), (2, 1, 0), "{kind}");
        witness.check(&*engine);
    }
}

#[test]
fn an_unnamed_block_opened_twice_can_be_an_error() {
    for kind in Kind::BOTH {
        let policy = Policy::default().repeated_unnamed_is_error(true);
        let (cache, _clock) = cache_with(|builder| builder.policy(policy));
        let mut engine = kind.with_cache(&cache);
        engine.add("part.html", "\n{% cache 300 %}{{ n }}{% endcache %}").unwrap();
        engine
            .add("page.html", "{% for n in [1, 2] %}{% include \"part.html\" %}{% endfor %}")
            .unwrap();
        let failure = engine.render("page.html", &json!({})).unwrap_err();
        assert!(failure.explained.contains("ran twice in one render"), "{failure}");
        assert!(failure.explained.contains("part.html:2"), "{failure}");
        assert_eq!(cache.stats().flights, 0, "{kind}");
    }
}
