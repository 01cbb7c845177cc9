//! Flask-Caching's methods for values, each with the equivalent line of Rust.

use fragcache::engine::Scalar;
use fragcache::values::{SetOptions, SetReport};
use fragcache::{Error, FragmentCache, Invalidation, Timeout};
use serde_json::{Map, Value as Json, json};

use super::said::{Py, Said};
use super::stage::Told;

/// The set options of a Python timeout.
fn keep(said: &Said) -> Result<SetOptions, Error> {
    let scalar = match said.named("timeout") {
        None | Some(Py::None) => return Ok(SetOptions::new()),
        Some(Py::Int(seconds)) => Scalar::Int(i128::from(*seconds)),
        Some(Py::Float(seconds)) => Scalar::Float(*seconds),
        Some(other) => panic!("{other:?} is no timeout"),
    };
    Ok(SetOptions::new().timeout(Timeout::from_scalar(scalar)?))
}

/// Whether the key is gone, in all processes.
fn is_gone(deletion: Invalidation) -> bool {
    deletion != Invalidation::Pending
}

/// The result of a deletion, as Flask-Caching's `true` or `false`.
fn said_of(deletion: Invalidation) -> Json {
    match deletion {
        Invalidation::Removed | Invalidation::Invalidated => true.into(),
        Invalidation::Absent => false.into(),
        other => format!("{other:?}").to_lowercase().into(),
    }
}

/// Performs a method; `None` if fragcache has no equivalent.
pub(super) fn perform(cache: &FragmentCache, verb: &str, said: &Said) -> Option<Told> {
    let done = try_perform(cache, verb, said);
    done.map(|told| told.map_err(|error| error.to_string()))
}

fn try_perform(cache: &FragmentCache, verb: &str, said: &Said) -> Option<Result<Json, Error>> {
    let values = cache.values();
    let args = &*said.args;
    let texts = || args.iter().map(Py::text).collect::<Vec<_>>();
    let told = |done: bool| Json::from(done);
    Some(match (verb, args) {
        ("get", [key]) => Ok(values.get::<Json>(key).unwrap_or_default()),
        ("has", [key]) => values.contains(key).map(told),
        ("set", [key, Py::Code(_)]) => values.set(key, &Torn).map(told),
        ("set", [key, value]) => {
            keep(said).and_then(|keep| values.set_with(key, &value.json(), &keep)).map(told)
        }
        ("add", [key, value]) => {
            keep(said).and_then(|keep| values.add_with(key, &value.json(), &keep)).map(told)
        }
        ("delete", [key]) => Ok(said_of(values.delete(key))),
        ("clear", []) => Ok(said_of(cache.clear())),
        ("get_many", _) => Ok(json!(values.get_many::<Json, _>(texts()))),
        ("get_dict", _) => {
            let found = values.get_many::<Json, _>(texts());
            let pairs = texts().into_iter().map(str::to_owned).zip(found);
            let pairs = pairs.map(|(key, value)| (key, value.unwrap_or_default()));
            Ok(pairs.collect::<Map<_, _>>().into())
        }
        ("set_many", [Py::Dict(pairs)]) => {
            let pairs: Vec<_> =
                pairs.iter().map(|(key, value)| (key.text(), value.json())).collect();
            keep(said).and_then(|keep| {
                let reports =
                    values.set_many(pairs.iter().map(|(key, value)| (*key, value)), &keep)?;
                let set =
                    pairs.iter().zip(reports).filter(|(_, report)| *report == SetReport::Stored);
                Ok(set.map(|((key, _), _)| *key).collect::<Json>())
            })
        }
        ("delete_many" | "unlink", _) => {
            let done = values.delete_many(texts());
            let gone = texts().into_iter().zip(done).filter(|(_, done)| is_gone(*done));
            Ok(gone.map(|(key, _)| key).collect())
        }
        _ => return None,
    })
}

/// A value that cannot be deserialized.
#[derive(serde::Deserialize)]
struct Torn;

impl serde::Serialize for Torn {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("a function is no value"))
    }
}
