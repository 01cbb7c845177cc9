//! A block whose options fail after it was opened and before its body: it is
//! abandoned immediately, so that no follower waits for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::channel;
use std::time::Duration;

use fragcache::FragmentCache;
use fragcache::events::{BypassReason, EventKind};
use fragcache::testing::Recorder;
use minijinja::{Environment, ErrorKind, Value};
use serde_json::json;
use tera::{Context, Kwargs, State, Tera, TeraResult};

use super::Witness;
use crate::support::{Kind, cache, cache_with};

/// Options that fail if `v` is not a text.
const OPTIONS: [&str; 5] = [
    "tags=[\"a\", tick(name=\"options\") ~ \"t\", v]",
    "tags=[tick(name=\"options\") ~ \"t\" ~ fail()]",
    "tags=[tick(name=\"options\") ~ \"t\"], stale=fail()",
    "stale=tick(name=\"options\") ~ \"soon\"",
    "tags=[page(name=\"inner.html\", n=v)]",
];

const INNER: &str =
    "{% cache 300, \"inner\" %}{{ tick(name=\"options\") }}{{ fail() }}{% endcache %}";

#[test]
fn a_block_with_failed_options_makes_no_caller_wait() {
    for kind in Kind::BOTH {
        for options in OPTIONS {
            let recorder = Recorder::new();
            let (cache, _clock) = cache_with(|builder| {
                builder.observer(recorder.clone()).wait_limit(Duration::from_secs(60))
            });
            let mut engine = kind.with_cache(&cache);
            let syntax = engine.syntax();
            let witness = Witness::load(&mut *engine, &syntax);
            let bad = format!(
                "{{% cache 300, \"outer\" %}}{{% cache 300, \"x\", {options} %}}y\
                 {{% endcache %}}{{% endcache %}}"
            );
            engine.load(&[("inner.html".to_owned(), INNER.to_owned())].into()).unwrap();
            engine.add("bad.html", &bad).unwrap();
            // The same keys, without a failure.
            let good = "{% cache 300, \"outer\" %}{% cache 300, \"x\" %}{{ n }}{% endcache %}\
                        {% endcache %}";
            engine.add("good.html", good).unwrap();

            let (begin, begun) = channel();
            let engine = &*engine;
            engine.counts().during(move || begin.send(()).unwrap());
            let page = std::thread::scope(|scope| {
                let other = scope.spawn(move || {
                    // The first render is evaluating its options, or has already failed.
                    let _ = begun.recv();
                    engine.render("good.html", &json!({ "n": 1 })).unwrap()
                });
                let failed = engine.render("bad.html", &json!({ "v": 1.5 }));
                assert!(failed.is_err(), "{kind} {options}");
                // Tera may evaluate the failing option before the one that ticks.
                engine.counts().during(|| {});
                other.join().unwrap()
            });
            assert_eq!(page, "1", "{kind} {options}");
            assert_eq!(cache.stats().flights, 0, "{kind} {options}");
            let limit = EventKind::Bypassed(BypassReason::WaitLimit);
            assert!(recorder.events().iter().all(|event| event.kind != limit), "{kind} {options}");
            assert_eq!(engine.render("good.html", &json!({ "n": 2 })).unwrap(), "1");
            assert_eq!(cache.stats().entries, 3, "{kind} {options}: the witness and the good ones");
            witness.check(engine);
        }
    }
}

/// An environment and a page whose cache blocks fail: in an option, or in the body.
fn failing(debug: bool, options: &str) -> (FragmentCache, Environment<'static>) {
    let (cache, _clock) = cache();
    let mut env = Environment::new();
    // With debug info, MiniJinja's errors hold variables.
    env.set_debug(debug);
    env.add_function("fail", || {
        Err::<Value, _>(minijinja::Error::new(ErrorKind::InvalidOperation, "on purpose"))
    });
    fragcache_minijinja::add_to_environment(&mut env, cache.clone()).unwrap();
    let source = format!(
        "{{% cache 300, \"o\" %}}{{% cache 300, \"x\"{options} %}}{{{{ fail() }}}}{{% endcache %}}\
         {{% endcache %}}"
    );
    fragcache_minijinja::add_template(&mut env, "page.html", source).unwrap();
    (cache, env)
}

const FAILING: [&str; 4] = [", tags=[nobody]", ", tags=fail()", ", stale=\"soon\"|upper", ""];

#[test]
fn an_error_that_is_kept_keeps_no_flight_open() {
    for (debug, options) in [false, true].into_iter().flat_map(|on| FAILING.map(|of| (on, of))) {
        let (cache, env) = failing(debug, options);
        let error = env.get_template("page.html").unwrap().render(()).unwrap_err();
        assert_eq!(cache.stats().flights, 0, "{debug} {options} {error}");
        check_free(&cache);
    }
}

#[test]
fn an_error_that_goes_to_another_thread_leaves_nothing_open() {
    for (debug, options) in [false, true].into_iter().flat_map(|on| FAILING.map(|of| (on, of))) {
        let (cache, env) = failing(debug, options);
        let error = env.get_template("page.html").unwrap().render(()).unwrap_err();
        std::thread::scope(|scope| scope.spawn(|| drop(error)).join().unwrap());
        assert_eq!(cache.stats().flights, 0, "{debug} {options}");
        assert!(!fragcache::current::is_open(), "{debug} {options}");
        check_free(&cache);
    }
}

#[test]
fn an_error_of_tera_that_is_kept_keeps_no_flight_open() {
    for options in [", tags=[nobody]", ", tags=fail()", ", stale=\"soon\" | upper", ""] {
        let (cache, _clock) = cache();
        let mut tera = Tera::new();
        tera.register_function("fail", |_: Kwargs, _: &State| -> TeraResult<&str> {
            Err(tera::Error::message("on purpose"))
        });
        fragcache_tera::add_to_tera(&mut tera, cache.clone()).unwrap();
        let source = format!(
            "{{% cache 300, \"o\" %}}{{% cache 300, \"x\"{options} %}}{{{{ fail() }}}}\
             {{% endcache %}}{{% endcache %}}"
        );
        fragcache_tera::add_raw_template(&mut tera, "page.html", &source).unwrap();
        let error = fragcache_tera::render(&tera, "page.html", &Context::new()).unwrap_err();
        assert_eq!(cache.stats().flights, 0, "{options} {error}");
        check_free(&cache);
    }
}

#[test]
fn a_panic_in_the_options_leaves_nothing_open() {
    let source = "{% cache 300, \"o\" %}{% cache 300, \"x\", tags=[crash()] %}y{% endcache %}\
                  {% endcache %}";
    let (cache, mut env) = failing(true, "");
    env.add_function("crash", || -> Result<Value, minijinja::Error> { panic!("on purpose") });
    fragcache_minijinja::add_template(&mut env, "page.html", source).unwrap();
    let render = AssertUnwindSafe(|| env.get_template("page.html").unwrap().render(()));
    assert!(catch_unwind(render).is_err());
    assert_eq!(cache.stats().flights, 0);
    check_free(&cache);

    let (cache, _clock) = crate::support::cache();
    let mut tera = Tera::new();
    tera.register_function("crash", |_: Kwargs, _: &State| -> &str { panic!("on purpose") });
    fragcache_tera::add_to_tera(&mut tera, cache.clone()).unwrap();
    fragcache_tera::add_raw_template(&mut tera, "page.html", source).unwrap();
    let render = || fragcache_tera::render(&tera, "page.html", &Context::new());
    assert!(catch_unwind(AssertUnwindSafe(render)).is_err());
    assert_eq!(cache.stats().flights, 0);
    check_free(&cache);
}

/// Fragments of Rust code under the same keys are stored without waiting.
fn check_free(cache: &FragmentCache) {
    for name in ["o", "x"] {
        let fragment = fragcache::Fragment::new(fragcache::fragment_key!(name));
        cache.render(&fragment, || "free").unwrap();
        assert!(cache.contains(fragment.key()).unwrap());
        cache.delete(fragment.key()).eventually();
    }
    assert_eq!(cache.stats().waits, 0);
}
