//! Diagnostics for pages and programs: comments around fragments, and warnings about
//! templates at load.

use fragcache::events::EventKind;
use fragcache::testing::{ManualClock, Recorder};
use fragcache::{ErrorKind, FragmentCache, Policy};
use minijinja::Environment;
use tera::{Context, Tera};

const PAGE: &str = "<a>{% cache 60, \"outer\" %}<b>{% cache 60, \"row\", n %}{{ n }}{% endcache %}</b>{% endcache %}</a>";
const FORM: &str = "{% cache 60, \"form\" %}\n<input value=\"{{ csrf_token }}\">{% endcache %}";
const VARIED: &str = "{% cache 60, \"form\", csrf_token %}{{ csrf_token }}{% endcache %}";

/// Both engines behind one interface.
enum Engine {
    MiniJinja(Box<Environment<'static>>),
    Tera(Box<Tera>),
}

impl Engine {
    fn both(cache: &FragmentCache) -> [Self; 2] {
        let mut environment = Environment::new();
        fragcache_minijinja::add_to_environment(&mut environment, cache.namespace("a")).unwrap();
        let mut tera = Tera::new();
        fragcache_tera::add_to_tera(&mut tera, cache.namespace("b")).unwrap();
        [Self::MiniJinja(environment.into()), Self::Tera(tera.into())]
    }

    fn add(&mut self, name: &'static str, source: &'static str) -> Result<(), String> {
        match self {
            Self::MiniJinja(environment) => {
                fragcache_minijinja::add_template(environment, name, source)
                    .map_err(|error| error.to_string())
            }
            Self::Tera(tera) => fragcache_tera::add_raw_template(tera, name, source)
                .map_err(|error| error.to_string()),
        }
    }

    fn render(&self, name: &str, n: &str) -> String {
        match self {
            Self::MiniJinja(environment) => {
                let context = minijinja::context!(n => n, csrf_token => n);
                environment.get_template(name).unwrap().render(context).unwrap()
            }
            Self::Tera(tera) => {
                let mut context = Context::new();
                context.insert("n", &n);
                context.insert("csrf_token", &n);
                fragcache_tera::render(tera, name, &context).unwrap()
            }
        }
    }

    fn warnings(&self) -> Vec<String> {
        let warnings = match self {
            Self::MiniJinja(environment) => fragcache_minijinja::warnings(environment).unwrap(),
            Self::Tera(tera) => fragcache_tera::warnings(tera).unwrap(),
        };
        warnings.iter().map(ToString::to_string).collect()
    }
}

fn around(key: &str, state: &str, body: &str) -> String {
    format!("<!-- fragcache {key}: {state} -->{body}<!-- /fragcache {key} -->")
}

#[test]
fn an_annotated_page_shows_each_fragment_and_the_plain_one_is_as_before() {
    let cache = FragmentCache::builder()
        .clock(ManualClock::new())
        .policy(Policy::default().annotations(true))
        .build()
        .unwrap();
    for (space, mut engine) in ["a", "b"].into_iter().zip(Engine::both(&cache)) {
        engine.add("page.html", PAGE).unwrap();
        engine.add("page.txt", PAGE).unwrap();
        let plain = "<a><b>--&gt;</b></a>";
        assert_eq!(engine.render("page.html", "-->"), plain);
        cache.annotate(true).unwrap();
        let row = format!("{space}/row(&quot;-&#45;&gt;&quot;)");
        let miss = "miss: output_mode; stored";
        let inner = around(&row, miss, "--&gt;");
        let outer = format!("{space}/outer");
        let page = format!("<a>{}</a>", around(&outer, miss, &format!("<b>{inner}</b>")));
        assert_eq!(engine.render("page.html", "-->"), page);
        let hit = page.replacen(miss, "hit, expires in 60 s", 1);
        assert_eq!(engine.render("page.html", "-->"), hit);
        assert_eq!(engine.render("page.txt", "-->"), "<a><b>--></b></a>");
        cache.annotate(false).unwrap();
        assert_eq!(engine.render("page.html", "-->"), plain);
    }
}

#[test]
fn a_token_in_a_cached_body_is_warned_of() {
    let recorder = Recorder::new();
    let cache = FragmentCache::builder().observer(recorder.clone()).build().unwrap();
    for mut engine in Engine::both(&cache) {
        recorder.reset();
        engine.add("form.html", FORM).unwrap();
        engine.add("varied.html", VARIED).unwrap();
        let told = recorder.events();
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].kind, told[0].line), (EventKind::Warned, 2));
        assert_eq!(told[0].template.as_deref(), Some("form.html"));
        assert!(told[0].warning.as_ref().unwrap().contains("`csrf_token`"));
        let warnings = engine.warnings();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].ends_with("(in form.html:2:18)"), "{warnings:?}");
    }
    assert_eq!(cache.stats().warnings, 2);
}

#[test]
fn a_policy_makes_a_warning_an_error_of_the_load() {
    let policy = Policy::default().warnings_are_errors(true);
    let cache = FragmentCache::builder().policy(policy).build().unwrap();
    for mut engine in Engine::both(&cache) {
        let error = engine.add("form.html", FORM).unwrap_err();
        assert!(error.contains("`csrf_token`") && error.contains("form.html:2"), "{error}");
        engine.add("varied.html", VARIED).unwrap();
        assert_eq!(engine.render("varied.html", "5a17"), "5a17");
    }
    let error = cache
        .report_warnings(
            fragcache::syntax::rewrite("a", FORM, &fragcache::syntax::Syntax::tera())
                .unwrap()
                .warnings(),
        )
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Syntax);
}
