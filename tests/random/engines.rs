//! The engines that render a set, cached and plain, with functions for the inputs of a render.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fragcache::FragmentCache;
use minijinja::value::Kwargs;
use minijinja::{Environment, syntax::SyntaxConfig};
use tera::{Context, Delimiters, State, Tera};

use super::statements::DATA;
use crate::support::{Kind, source_of};

/// The inputs of a render: data, the page, and the visitor.
#[derive(Debug, Default)]
pub(super) struct World {
    data: [AtomicUsize; DATA],
    page: AtomicUsize,
    visitor: AtomicUsize,
}

impl World {
    pub(super) fn visit(&self, page: usize, visitor: usize) {
        self.page.store(page, Ordering::Relaxed);
        self.visitor.store(visitor, Ordering::Relaxed);
    }

    pub(super) fn edit(&self, item: usize) {
        self.data[item].fetch_add(1, Ordering::Relaxed);
    }

    fn page(&self) -> String {
        format!("p{}", self.page.load(Ordering::Relaxed))
    }

    fn who(&self) -> String {
        format!("<who{}>", self.visitor.load(Ordering::Relaxed))
    }

    fn data(&self, item: usize) -> String {
        format!("d{item}.{}", self.data[item].load(Ordering::Relaxed))
    }
}

/// Why a set was not loaded or rendered.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) message: String,
    /// Our own error, if it is one.
    pub(super) ours: Option<fragcache::Error>,
}

impl Failed {
    fn new(error: &(dyn std::error::Error + 'static)) -> Self {
        Self { message: error.to_string(), ours: source_of(error) }
    }
}

/// An engine with a set's templates.
pub(super) enum Engine {
    MiniJinja(Box<Environment<'static>>),
    Tera { tera: Box<Tera>, cached: bool },
}

impl Engine {
    pub(super) fn load(
        kind: Kind,
        own_delimiters: bool,
        templates: &[(String, String)],
        world: &Arc<World>,
        cache: Option<&FragmentCache>,
    ) -> Result<Self, Failed> {
        match kind {
            Kind::MiniJinja => minijinja(own_delimiters, templates, world, cache)
                .map(|env| Self::MiniJinja(Box::new(env)))
                .map_err(|error| Failed::new(&error)),
            Kind::Tera => tera(own_delimiters, templates, world, cache)
                .map(|tera| Self::Tera { tera: Box::new(tera), cached: cache.is_some() })
                .map_err(|error| Failed::new(&error)),
        }
    }

    pub(super) fn render(&self, name: &str) -> Result<String, Failed> {
        match self {
            Self::MiniJinja(env) => {
                let page = env.get_template(name).map_err(|error| Failed::new(&error))?;
                page.render(()).map_err(|error| Failed::new(&error))
            }
            Self::Tera { tera, cached } => match cached {
                true => fragcache_tera::render(tera, name, &Context::new()),
                false => tera.render(name, &Context::new()),
            }
            .map_err(|error| Failed::new(&error)),
        }
    }
}

fn minijinja(
    own_delimiters: bool,
    templates: &[(String, String)],
    world: &Arc<World>,
    cache: Option<&FragmentCache>,
) -> Result<Environment<'static>, minijinja::Error> {
    let mut env = Environment::new();
    if own_delimiters {
        env.set_syntax(SyntaxConfig::builder().block_delimiters("<%", "%>").build().unwrap());
    }
    let known = world.clone();
    env.add_function("page", move || known.page());
    let known = world.clone();
    env.add_function("who", move || known.who());
    let known = world.clone();
    env.add_function("data", move |kwargs: Kwargs| {
        Ok::<_, minijinja::Error>(known.data(kwargs.get("i")?))
    });
    if let Some(cache) = cache {
        fragcache_minijinja::add_to_environment(&mut env, cache.clone())?;
    }
    for (name, source) in templates {
        let (name, source) = (name.clone(), source.clone());
        match cache {
            Some(_) => fragcache_minijinja::add_template(&mut env, name, source)?,
            None => env.add_template_owned(name, source)?,
        }
    }
    Ok(env)
}

fn tera(
    own_delimiters: bool,
    templates: &[(String, String)],
    world: &Arc<World>,
    cache: Option<&FragmentCache>,
) -> tera::TeraResult<Tera> {
    let mut tera = Tera::new();
    let known = world.clone();
    tera.register_function("page", move |_: tera::Kwargs, _: &State| known.page());
    let known = world.clone();
    tera.register_function("who", move |_: tera::Kwargs, _: &State| known.who());
    let known = world.clone();
    tera.register_function("data", move |kwargs: tera::Kwargs, _: &State| {
        tera::TeraResult::Ok(known.data(kwargs.must_get("i")?))
    });
    let delimiters = match own_delimiters {
        true => {
            Delimiters { block_start: "<%".into(), block_end: "%>".into(), ..Delimiters::default() }
        }
        false => Delimiters::default(),
    };
    let templates = templates.iter().map(|(name, source)| (name.as_str(), source.as_str()));
    match cache {
        Some(cache) => {
            fragcache_tera::set_delimiters(&mut tera, delimiters).unwrap();
            fragcache_tera::add_to_tera(&mut tera, cache.clone()).unwrap();
            fragcache_tera::add_raw_templates(&mut tera, templates)?;
        }
        None => {
            tera.set_delimiters(delimiters)?;
            tera.add_raw_templates(templates)?;
        }
    }
    Ok(tera)
}
