//! MiniJinja behind the trait.

use std::borrow::Cow;
use std::collections::BTreeMap;

use fragcache::Caches;
use fragcache::syntax::{self, CacheBlock, Syntax};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value, context,
    default_auto_escape_callback, escape_formatter,
};
use serde_json::Value as Json;

use super::counts::Counts;
use super::engine::{Engine, Failure, Stage, forms, ours};
use super::native::native;
use super::settings::Settings;
use super::stock;

pub(crate) struct MiniJinja {
    pub(crate) env: Environment<'static>,
    counts: Counts,
    cached: bool,
}

impl MiniJinja {
    pub(crate) fn new(settings: &Settings, caches: Option<Caches>) -> Self {
        let mut env = Environment::new();
        let counts = Counts::default();
        env.set_debug(true);
        env.set_syntax(syntax_config(settings));
        env.set_undefined_behavior(match settings.undefined.as_deref() {
            None | Some("lenient") => UndefinedBehavior::Lenient,
            Some("chainable") => UndefinedBehavior::Chainable,
            Some("semi_strict") => UndefinedBehavior::SemiStrict,
            Some("strict") => UndefinedBehavior::Strict,
            Some(other) => panic!("no such behaviour: {other}"),
        });
        functions(&mut env, &counts);
        let cached = caches.is_some();
        if let Some(caches) = caches {
            fragcache_minijinja::add_to_environment(&mut env, caches).unwrap();
        } else {
            for name in ["cache_tags", "cache_expire", "cache_veto"] {
                env.add_function(name, |_: Option<Value>, kwargs: Kwargs| {
                    for name in kwargs.args() {
                        kwargs.get::<Value>(name)?;
                    }
                    Ok::<_, Error>("")
                });
            }
        }
        if settings.formatter {
            env.set_auto_escape_callback(|name| match name.ends_with(".tex") {
                true => AutoEscape::Custom("tex".into()),
                false => default_auto_escape_callback(name),
            });
            match cached {
                true => fragcache_minijinja::set_formatter(&mut env, formatter).unwrap(),
                false => env.set_formatter(formatter),
            }
        }
        Self { env, counts, cached }
    }

    fn failed(&self, stage: Stage) -> impl Fn(Error) -> Failure + '_ {
        move |error| Failure {
            stage,
            message: error.to_string(),
            ours: ours(&error),
            explained: fragcache_minijinja::explain(&self.env, &error),
            forms: forms(&error),
        }
    }
}

fn syntax_config(settings: &Settings) -> SyntaxConfig {
    let or = |text: &Option<String>, default: &str| {
        Cow::<'static, str>::Owned(text.as_deref().unwrap_or(default).to_owned())
    };
    SyntaxConfig::builder()
        .block_delimiters(or(&settings.block_start, "{%"), or(&settings.block_end, "%}"))
        .variable_delimiters(or(&settings.variable_start, "{{"), or(&settings.variable_end, "}}"))
        .comment_delimiters(or(&settings.comment_start, "{#"), or(&settings.comment_end, "#}"))
        .line_statement_prefix(or(&settings.line_statement_prefix, ""))
        .line_comment_prefix(or(&settings.line_comment_prefix, ""))
        .trim_blocks(settings.trim_blocks)
        .lstrip_blocks(settings.lstrip_blocks)
        .keep_trailing_newline(settings.keep_trailing_newline)
        .build()
        .unwrap()
}

fn functions(env: &mut Environment<'static>, counts: &Counts) {
    let counter = counts.clone();
    env.add_function("tick", move |kwargs: Kwargs| {
        counter.tick(kwargs.get("name")?);
        Ok::<_, Error>("")
    });
    env.add_function("fail", || {
        Err::<Value, _>(Error::new(ErrorKind::InvalidOperation, "failed on purpose"))
    });
    env.add_function("nan", || f64::NAN);
    env.add_function("infinity", || f64::INFINITY);
    env.add_function("repeat", |kwargs: Kwargs| {
        Ok::<_, Error>(kwargs.get::<&str>("text")?.repeat(kwargs.get("times")?))
    });
    env.add_function("load", |kwargs: Kwargs| Ok::<_, Error>(stock::load(kwargs.get("id")?)));
    env.add_function("ends", |kwargs: Kwargs| Ok::<_, Error>(stock::ends(kwargs.get("after")?)));
    env.add_function("form_token", stock::form_token);
    env.add_function("page", |state: &State<'_, '_>, kwargs: Kwargs| {
        let template = state.env().get_template(kwargs.get("name")?)?;
        template
            .render(context!(n => kwargs.get::<Option<Value>>("n")?))
            .map(Value::from_safe_string)
    });
}

/// A formatter that escapes `&` in `.tex` templates; in others it prints nothing for `none`.
fn formatter(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if *state.auto_escape() == AutoEscape::Custom("tex".into()) {
        out.write_str(&value.to_string().replace('&', "\\&"))?;
        return Ok(());
    }
    if value.is_none() { Ok(()) } else { escape_formatter(out, state, value) }
}

impl Engine for MiniJinja {
    fn load(&mut self, templates: &BTreeMap<String, String>) -> Result<(), Failure> {
        for (name, source) in templates {
            let (name, source) = (name.clone(), source.clone());
            let added = if self.cached {
                fragcache_minijinja::add_template(&mut self.env, name, source)
            } else {
                let syntax = self.syntax();
                let page = syntax::rewrite(&name, &source, &syntax).unwrap();
                let source = native(&source, page.blocks(), &syntax);
                self.env.add_template_owned(name, source)
            };
            added.map_err(self.failed(Stage::Load))?;
        }
        Ok(())
    }

    fn render(&self, name: &str, context: &Json) -> Result<String, Failure> {
        let template = self.env.get_template(name).map_err(self.failed(Stage::Load))?;
        let context = Value::from(Serde(context));
        template.render(context).map_err(self.failed(Stage::Render))
    }

    fn render_str(&self, source: &str, context: &Json) -> Result<String, Failure> {
        let context = Value::from(Serde(context));
        let rendered = if self.cached {
            fragcache_minijinja::render_str(&self.env, source, context)
        } else {
            let syntax = self.syntax();
            let page = syntax::rewrite("", source, &syntax).unwrap();
            self.env.render_str(&native(source, page.blocks(), &syntax), context)
        };
        rendered.map_err(self.failed(Stage::Render))
    }

    fn syntax(&self) -> Syntax {
        fragcache_minijinja::syntax_of(&self.env)
    }

    fn blocks(&self) -> Vec<CacheBlock> {
        fragcache_minijinja::cache_blocks(&self.env).unwrap()
    }

    fn counts(&self) -> &Counts {
        &self.counts
    }
}
