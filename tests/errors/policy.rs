//! Mistakes under a policy that renders uncached instead of failing.

use fragcache::{OnMistake, Policy};
use serde_json::json;

use super::Witness;
use crate::support::{Kind, cache_with};

/// Opening tags that cannot be cached, and whether the timeout is to blame rather than the key.
const MISTAKES: [(&str, bool); 9] = [
    ("cache 0, \"x\"", true),
    ("cache -1, \"x\"", true),
    ("cache nan(), \"x\"", true),
    ("cache \"soon\", \"x\"", true),
    ("cache lief, \"x\"", true),
    ("cache [300], \"x\"", true),
    ("cache 300, \"x\", nobody", false),
    ("cache 300, \"x\", user", false),
    ("cache 300, nobody", false),
];

#[test]
fn a_mistake_is_rendered_uncached_and_counted() {
    for kind in Kind::BOTH {
        for (tag, timeout) in MISTAKES {
            let policy = Policy::default().bad_arguments(OnMistake::Uncached);
            let (cache, _clock) = cache_with(|builder| builder.policy(policy));
            let mut engine = kind.with_cache(&cache);
            let syntax = engine.syntax();
            let witness = Witness::load(&mut *engine, &syntax);
            let source = format!(
                "{{% cache 300, \"outer\" %}}{{% {tag} %}}{{{{ tick(name=\"a\") }}}}{{{{ n }}}}\
                 {{% endcache %}}{{% endcache %}}"
            );
            engine.add("page.html", &source).unwrap();
            for n in [1, 2] {
                let context = json!({ "n": n, "user": { "id": 7 } });
                // The outer fragment is not stored either: what it holds was not to be cached.
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
        assert!(failure.explained.contains("opened twice in one render"), "{failure}");
        assert!(failure.explained.contains("part.html:2"), "{failure}");
        assert_eq!(cache.stats().flights, 0, "{kind}");
    }
}
