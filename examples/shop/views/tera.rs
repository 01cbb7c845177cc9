//! The shop's Tera.

use std::sync::Arc;

use anyhow::anyhow;
use fragcache::FragmentCache;
use tera::{Context, Error, Kwargs, State, Tera, TeraResult, Value};

use super::figures::figures;
use super::{TEMPLATES, money, stars};
use crate::cell::Row;
use crate::database::Database;
use crate::queries::{Argument, FUNCTIONS, Function, Returns, Takes};
use crate::token::form_token;

pub(super) fn tera(database: &Arc<Database>, cache: &FragmentCache) -> anyhow::Result<Tera> {
    let mut tera = Tera::new();
    fragcache_tera::add_to_tera(&mut tera, cache.clone())?;

    // Register functions and filters first: Tera resolves them when it loads a template.
    for function in FUNCTIONS {
        let database = Arc::clone(database);
        tera.register_function(function.name, move |kwargs: Kwargs, _: &State| {
            call(function, &database, &kwargs)
        });
    }
    let secrets = Arc::clone(database);
    tera.register_function("form_token", move |kwargs: Kwargs, _: &State| {
        Ok::<_, Error>(form_token(&secrets, kwargs.must_get("of")?))
    });
    let (database, cache) = (Arc::clone(database), cache.clone());
    tera.register_function("figures", move |_: Kwargs, _: &State| {
        Value::from(figures(&cache, &database))
    });
    tera.register_filter("money", |cents: i64, _: Kwargs, _: &State| money(cents));
    tera.register_filter("stars", |value: &Value, _: Kwargs, _: &State| stars(value.as_i64()));

    fragcache_tera::load_from_glob(&mut tera, &format!("{TEMPLATES}/tera/**/*"))?;
    Ok(tera)
}

/// A template function: `orders(of=user_id)`.
fn call(function: &Function, database: &Database, kwargs: &Kwargs) -> TeraResult<Value> {
    let argument = match function.takes {
        Takes::Nothing => Argument::None,
        Takes::Id => Argument::Id(kwargs.must_get("of")?),
        Takes::Text => Argument::Text(kwargs.must_get::<&str>("of")?.to_owned()),
    };
    let found = match function.returns {
        Returns::One => function.row(database, &argument).map(Value::from),
        Returns::Many => function.rows(database, &argument).map(Value::from),
    };
    found.map_err(|error| Error::message(format!("{error:#}")))
}

pub(super) fn render(tera: &Tera, name: &str, context: Row) -> anyhow::Result<String> {
    let mut values = Context::new();
    for (key, cell) in context {
        values.insert_value(key, cell.into());
    }
    fragcache_tera::render(tera, name, &values)
        .map_err(|error| anyhow!("{}", fragcache_tera::explain(tera, &error)))
}
