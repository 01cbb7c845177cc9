//! The shop's MiniJinja environment.

use std::sync::Arc;

use anyhow::anyhow;
use fragcache::FragmentCache;
use minijinja::{Environment, Error, ErrorKind, Value};

use super::figures::figures;
use super::{TEMPLATES, money, stars};
use crate::cell::Row;
use crate::database::Database;
use crate::queries::{Argument, FUNCTIONS, Function, Returns, Takes};
use crate::token::form_token;

pub(super) fn environment(
    database: &Arc<Database>,
    cache: &FragmentCache,
) -> anyhow::Result<Environment<'static>> {
    let mut env = Environment::new();
    env.set_debug(true);
    fragcache_minijinja::add_to_environment(&mut env, cache.clone())?;
    env.set_loader(fragcache_minijinja::path_loader(format!("{TEMPLATES}/minijinja"), &env)?);

    for function in FUNCTIONS {
        let database = Arc::clone(database);
        env.add_function(function.name, move |argument: Option<Value>| {
            call(function, &database, argument)
        });
    }
    let secrets = Arc::clone(database);
    env.add_function("form_token", move |user: i64| form_token(&secrets, user));
    let (database, cache) = (Arc::clone(database), cache.clone());
    env.add_function("figures", move || Value::from(figures(&cache, &database)));
    env.add_filter("money", money);
    env.add_filter("stars", stars);

    // Load all templates now, so that a mistake in one shows at startup and not at the first visit.
    for file in std::fs::read_dir(format!("{TEMPLATES}/minijinja"))? {
        env.get_template(&file?.file_name().to_string_lossy())?;
    }
    Ok(env)
}

/// A template function: `orders(user_id)`.
fn call(function: &Function, database: &Database, argument: Option<Value>) -> Result<Value, Error> {
    let argument = match (function.takes, argument) {
        (Takes::Nothing, None) => Argument::None,
        (Takes::Id, Some(value)) => Argument::Id(value.try_into()?),
        (Takes::Text, Some(value)) => Argument::Text(value.to_string()),
        (Takes::Nothing, Some(_)) => return Err(ErrorKind::TooManyArguments.into()),
        (_, None) => return Err(ErrorKind::MissingArgument.into()),
    };
    let found = match function.returns {
        Returns::One => function.row(database, &argument).map(Value::from),
        Returns::Many => function.rows(database, &argument).map(Value::from),
    };
    found.map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("{error:#}")))
}

pub(super) fn render(env: &Environment<'_>, name: &str, context: Row) -> anyhow::Result<String> {
    env.get_template(name)
        .and_then(|template| template.render(Value::from(context)))
        .map_err(|error| anyhow!(fragcache_minijinja::explain(env, &error)))
}
