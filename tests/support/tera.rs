//! Tera behind the trait.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use fragcache::Caches;
use fragcache::syntax::{self, CacheBlock, Syntax};
use serde_json::Value as Json;
use tera::{Context, Delimiters, Error, Kwargs, State, Tera, TeraResult, Value};

use super::counts::Counts;
use super::engine::{Engine, Failure, Stage, forms, ours};
use super::native::native;
use super::settings::Settings;
use super::stock;

/// The Tera with the last loaded templates.
type Pages = Arc<Mutex<Option<Tera>>>;

pub(crate) struct TeraEngine {
    pub(crate) tera: Tera,
    counts: Counts,
    cached: bool,
    /// The templates that the function `page` renders.
    pages: Pages,
    syntax: Syntax,
    strings_escape: bool,
}

impl TeraEngine {
    pub(crate) fn new(settings: &Settings, caches: Option<Caches>) -> Self {
        let mut tera = Tera::new();
        let counts = Counts::default();
        let pages = Pages::default();
        functions(&mut tera, &counts);
        let (all, cached) = (pages.clone(), caches.is_some());
        tera.register_function("page", move |kwargs: Kwargs, _: &State| {
            let tera = all.lock().unwrap().clone().expect("a template that calls page()");
            let mut context = Context::new();
            if let Some(n) = kwargs.get::<&Value>("n")? {
                context.insert_value("n", n.clone());
            }
            let name = kwargs.must_get("name")?;
            let page = match cached {
                true => fragcache_tera::render(&tera, name, &context),
                false => tera.render(name, &context),
            };
            page.map(|page| Value::safe_string(&page))
        });
        let delimiters = delimiters(settings);
        if delimiters != Delimiters::default() {
            fragcache_tera::set_delimiters(&mut tera, delimiters.clone()).unwrap();
        }
        if settings.escape_fn {
            tera.set_escape_fn(|text, out| out.write_all(text.replace('&', "&&").as_bytes()));
        }
        if let Some(suffixes) = &settings.autoescape_on {
            let suffixes: Vec<&'static str> =
                suffixes.iter().map(|suffix| &*suffix.clone().leak()).collect();
            tera.autoescape_on(suffixes);
        }
        if let Some(caches) = caches {
            fragcache_tera::add_to_tera(&mut tera, caches).unwrap();
        } else {
            for name in ["cache_tags", "cache_expire", "cache_veto"] {
                tera.register_function(name, |_: Kwargs, _: &State| "");
            }
        }
        Self {
            tera,
            counts,
            cached,
            pages,
            syntax: fragcache_tera::syntax_of(&delimiters),
            strings_escape: settings.strings_escape,
        }
    }

    fn failed(&self, stage: Stage) -> impl Fn(Error) -> Failure + '_ {
        move |error| Failure {
            stage,
            message: error.to_string(),
            ours: ours(&error),
            explained: fragcache_tera::explain(&self.tera, &error),
            forms: forms(&error),
        }
    }

    fn natives(&self, templates: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let translate = |(name, source): (&String, &String)| {
            let page = syntax::rewrite(name, source, &self.syntax).unwrap();
            (name.clone(), native(source, page.blocks(), &self.syntax))
        };
        templates.iter().map(translate).collect()
    }
}

fn delimiters(settings: &Settings) -> Delimiters {
    let default = Delimiters::default();
    let or = |text: &Option<String>, default: String| text.clone().unwrap_or(default);
    Delimiters {
        block_start: or(&settings.block_start, default.block_start.to_string()).into(),
        block_end: or(&settings.block_end, default.block_end.to_string()).into(),
        variable_start: or(&settings.variable_start, default.variable_start.to_string()).into(),
        variable_end: or(&settings.variable_end, default.variable_end.to_string()).into(),
        comment_start: or(&settings.comment_start, default.comment_start.to_string()).into(),
        comment_end: or(&settings.comment_end, default.comment_end.to_string()).into(),
    }
}

fn functions(tera: &mut Tera, counts: &Counts) {
    let counter = counts.clone();
    tera.register_function("tick", move |kwargs: Kwargs, _: &State| -> TeraResult<&str> {
        counter.tick(kwargs.must_get("name")?);
        Ok("")
    });
    tera.register_function("fail", |_: Kwargs, _: &State| -> TeraResult<&str> {
        Err(Error::message("failed on purpose"))
    });
    tera.register_function("nan", |_: Kwargs, _: &State| f64::NAN);
    tera.register_function("infinity", |_: Kwargs, _: &State| f64::INFINITY);
    tera.register_function("repeat", |kwargs: Kwargs, _: &State| -> TeraResult<String> {
        Ok(kwargs.must_get::<&str>("text")?.repeat(kwargs.must_get("times")?))
    });
    tera.register_function("load", |kwargs: Kwargs, _: &State| -> TeraResult<String> {
        Ok(stock::load(kwargs.must_get("id")?))
    });
    tera.register_function("ends", |kwargs: Kwargs, _: &State| -> TeraResult<&str> {
        Ok(stock::ends(kwargs.must_get("after")?))
    });
    tera.register_function("form_token", |_: Kwargs, _: &State| stock::form_token());
}

impl Engine for TeraEngine {
    fn load(&mut self, templates: &BTreeMap<String, String>) -> Result<(), Failure> {
        let added = if self.cached {
            fragcache_tera::add_raw_templates(&mut self.tera, templates)
        } else {
            let natives = self.natives(templates);
            self.tera.add_raw_templates(&natives)
        };
        added.map_err(self.failed(Stage::Load))?;
        if templates.values().any(|source| source.contains("page(")) {
            *self.pages.lock().unwrap() = Some(self.tera.clone());
        }
        Ok(())
    }

    fn render(&self, name: &str, context: &Json) -> Result<String, Failure> {
        let context = Context::from_serialize(context).unwrap();
        let rendered = if self.cached {
            fragcache_tera::render(&self.tera, name, &context)
        } else {
            self.tera.render(name, &context)
        };
        rendered.map_err(self.failed(Stage::Render))
    }

    fn render_str(&self, source: &str, context: &Json) -> Result<String, Failure> {
        let context = Context::from_serialize(context).unwrap();
        let escape = self.strings_escape;
        let rendered = if self.cached {
            fragcache_tera::render_str(&self.tera, source, &context, escape)
        } else {
            let page = syntax::rewrite("", source, &self.syntax).unwrap();
            let source = native(source, page.blocks(), &self.syntax);
            self.tera.render_str(&source, &context, escape)
        };
        rendered.map_err(self.failed(Stage::Render))
    }

    fn syntax(&self) -> Syntax {
        self.syntax.clone()
    }

    fn blocks(&self) -> Vec<CacheBlock> {
        fragcache_tera::cache_blocks(&self.tera).unwrap()
    }

    fn counts(&self) -> &Counts {
        &self.counts
    }
}
