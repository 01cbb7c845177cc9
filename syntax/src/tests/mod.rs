//! Tests of the rewriter. This file sets up the engines with stand-ins for the runtime's filters,
//! where every lookup misses. A native `if` is the oracle for the output of a cache block.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, Value};

use super::*;

mod flows;
mod generated;
mod linear;
mod lowering;
mod options;
mod others;
mod outside;
mod refusals;
mod scanning;
mod tera_lowering;
mod warnings;
mod whole;

/// The source with cache tags in place of `@O` and `@C`. They contain no quotes, because the place
/// may be in a string.
fn cached(source: &str) -> String {
    source.replace("@O", "cache 300, none, 1").replace("@C", "endcache")
}

/// The source with a native `if` in their place.
fn native(source: &str) -> String {
    source.replace("@O", "if true").replace("@C", "endif")
}

fn syntax_of(config: &SyntaxConfig) -> Syntax {
    let own = |(start, end): (&str, &str)| (start.to_owned(), end.to_owned());
    let block = own(config.block_delimiters());
    let variable = own(config.variable_delimiters());
    let comment = own(config.comment_delimiters());
    Syntax::minijinja()
        .with_block_delimiters(block.0, block.1)
        .with_variable_delimiters(variable.0, variable.1)
        .with_comment_delimiters(comment.0, comment.1)
        .with_line_statement_prefix(config.line_statement_prefix().map(str::to_owned))
        .with_line_comment_prefix(config.line_comment_prefix().map(str::to_owned))
        .with_lstrip_blocks(config.lstrip_blocks())
}

/// MiniJinja with stand-ins for the runtime.
fn minijinja_env(config: SyntaxConfig) -> minijinja::Environment<'static> {
    let mut env = minijinja::Environment::new();
    env.set_syntax(config);
    env.add_filter("__fragcache_open", |site: String, _: Rest<Value>| -> bool {
        assert!(BlockId::parse(&site).is_some(), "{site}");
        false
    });
    let ticket = |_: Value, shared: Kwargs| -> Result<i32, minijinja::Error> {
        shared.get::<Option<bool>>("shared")?;
        Ok(1)
    };
    env.add_filter("__fragcache_ticket", ticket);
    env.add_filter("__fragcache_declare", |ticket: Value, declared: Kwargs| -> Value {
        assert!(declared.args().all(|name| matches!(name, "tags" | "stale")));
        assert!(declared.args().next().is_some());
        ticket
    });
    env.add_filter("__fragcache_close", |body: Value, _: Value| -> Value { body });
    env
}

fn context() -> Value {
    minijinja::context! { n => 3, xs => vec![1, 2], empty => Vec::<i32>::new(), html => "<b>" }
}

fn render_minijinja(config: &SyntaxConfig, source: &str) -> Result<String, String> {
    let mut env = minijinja_env(config.clone());
    env.add_template_owned("page.html", source.to_owned()).map_err(|error| error.to_string())?;
    let page = env.get_template("page.html").map_err(|error| error.to_string())?;
    page.render(context()).map_err(|error| error.to_string())
}

/// Asserts that a cache block prints what an `if` in its place prints.
fn same_as_native(config: &SyntaxConfig, source: &str) {
    let cached = cached(source);
    let lowered = rewrite("page.html", &cached, &syntax_of(config)).unwrap();
    assert_eq!(lowered.source().matches('\n').count(), cached.matches('\n').count());
    let expected = render_minijinja(config, &native(source)).unwrap();
    let found = render_minijinja(config, lowered.source());
    assert_eq!(found.as_deref(), Ok(expected.as_str()), "{source:?}\n{}", lowered.source());
}

/// Tera with stand-ins for the runtime.
fn tera_engine() -> tera::Tera {
    let mut engine = tera::Tera::default();
    for open in ["__fragcache_open", "__fragcache_open_unscoped"] {
        engine.register_filter(
            open,
            |list: tera::Value, _: tera::Kwargs, _: &tera::State| -> bool {
                let site =
                    list.as_array().and_then(|list| list.first()?.as_str().map(str::to_owned));
                assert!(BlockId::parse(&site.unwrap_or_default()).is_some());
                false
            },
        );
    }
    engine.register_filter(
        "__fragcache_hit",
        |_: tera::Value, _: tera::Kwargs, _: &tera::State| -> tera::Value { tera::Value::none() },
    );
    engine.register_filter(
        "__fragcache_ticket",
        |_: tera::Value, _: tera::Kwargs, _: &tera::State| -> tera::Value { tera::Value::from(1) },
    );
    engine.register_filter(
        "__fragcache_declare",
        |ticket: tera::Value,
         declared: tera::Kwargs,
         _: &tera::State|
         -> tera::TeraResult<tera::Value> {
            let tags = declared.get::<tera::Value>("tags")?;
            assert!(tags.is_some() || declared.get::<tera::Value>("stale")?.is_some());
            Ok(ticket)
        },
    );
    engine.register_filter(
        "__fragcache_close",
        |body: tera::Value, args: tera::Kwargs, _: &tera::State| -> tera::TeraResult<tera::Value> {
            assert_eq!(args.must_get::<i64>("ticket")?, 1);
            Ok(tera::Value::safe_string(body.as_str().unwrap_or_default()))
        },
    );
    engine
}

fn render_tera_in(mut engine: tera::Tera, source: &str) -> Result<String, String> {
    engine.add_raw_template("page.html", source).map_err(|error| error.to_string())?;
    let mut context = tera::Context::new();
    context.insert("n", &3);
    context.insert("xs", &vec![1, 2]);
    context.insert("html", "<b>");
    engine.render("page.html", &context).map_err(|error| error.to_string())
}

fn tera_same_as_native(source: &str) {
    let cached = cached(source);
    let lowered = rewrite("page.html", &cached, &Syntax::tera()).unwrap();
    assert_eq!(lowered.source().matches('\n').count(), cached.matches('\n').count());
    let expected = render_tera_in(tera_engine(), &native(source)).unwrap();
    let found = render_tera_in(tera_engine(), lowered.source());
    assert_eq!(found.as_deref(), Ok(expected.as_str()), "{source:?}\n{}", lowered.source());
}
