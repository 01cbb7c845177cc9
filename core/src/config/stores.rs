//! A user's own stores, by the names that a config uses.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind};
use crate::store::Store;

use super::explain;

type Open = dyn Fn(&StoreSettings) -> Result<Arc<dyn Store>, Error> + Send + Sync;

/// Your own stores, which a [`Config`](super::Config) can select by its `type`.
///
/// ```
/// use fragcache::Error;
/// use fragcache::config::{Config, Stores};
/// # use fragcache::store::{Capabilities, Store, StoreError, Value};
/// # use std::time::Duration;
/// # #[derive(Debug)]
/// # struct Dynamo { region: String }
/// # impl Store for Dynamo {
/// #     fn capabilities(&self) -> Capabilities { Capabilities::new("dynamo") }
/// #     fn get_many(&self, keys: &[&str]) -> Result<Vec<Option<Value>>, StoreError> { Ok(vec![None; keys.len()]) }
/// #     fn set(&self, _: &str, _: &[u8], _: Duration) -> Result<(), StoreError> { Ok(()) }
/// #     fn add(&self, _: &str, _: &[u8], _: Duration) -> Result<bool, StoreError> { Ok(true) }
/// #     fn delete(&self, _: &str) -> Result<bool, StoreError> { Ok(false) }
/// #     fn compare_and_delete(&self, _: &str, _: &[u8]) -> Result<bool, StoreError> { Ok(false) }
/// # }
///
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Settings {
///     region: String,
/// }
///
/// let stores = Stores::new().with("dynamo", |settings| {
///     let Settings { region } = settings.read()?;
///     Ok(Dynamo { region })
/// });
/// let config = Config::from_toml("type = 'dynamo'\n[store]\nregion = 'eu-central-1'")?;
/// config.build_with(&stores)?;
///
/// let error = Config::from_toml("type = 'dynamo'")?.build().unwrap_err();
/// assert!(error.message().contains("dynamo"));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Stores(BTreeMap<String, Arc<Open>>);

impl Stores {
    /// Creates a set with only the stores that come with this crate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a store. `open` creates it from the config's table `[store]`. An existing name is
    /// replaced. `memory`, `null`, `redis` and `file` are reserved: using one is an error when a
    /// cache is built.
    pub fn with<S: Store>(
        mut self,
        name: &str,
        open: impl Fn(&StoreSettings) -> Result<S, Error> + Send + Sync + 'static,
    ) -> Self {
        let open: Arc<Open> =
            Arc::new(move |settings| open(settings).map(|store| Arc::new(store) as Arc<dyn Store>));
        self.0.insert(name.to_owned(), open);
        self
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Opens the store of this name, if there is one.
    pub(super) fn open(
        &self,
        name: &str,
        settings: &StoreSettings,
    ) -> Result<Option<Arc<dyn Store>>, Error> {
        self.0.get(name).map(|open| open(settings)).transpose()
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A config's table `[store]`: the settings of your own store; see [`Stores`].
///
/// `Debug` shows the names of the settings only.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct StoreSettings(toml::Table);

impl StoreSettings {
    /// Reads the settings into a type of your own. Derive `Deserialize` for it, with
    /// `#[serde(deny_unknown_fields)]` so that a misspelt setting is an error.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if a setting is missing, unknown or of another type. The error names
    /// the setting and does not show its value.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        toml::Value::Table(self.0.clone()).try_into().map_err(|cause: toml::de::Error| {
            Error::new(ErrorKind::Config, explain::of_own(&cause.to_string()))
        })
    }

    /// Overrides these settings with those that `over` has.
    pub(super) fn merge(&mut self, over: Self) {
        merge(&mut self.0, over.0);
    }
}

fn merge(below: &mut toml::Table, over: toml::Table) {
    for (name, value) in over {
        match (below.get_mut(&name), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(over)) => merge(below, over),
            (_, value) => {
                below.insert(name, value);
            }
        }
    }
}

impl fmt::Debug for StoreSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
