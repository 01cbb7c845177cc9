//! The stores by the names that a config uses.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use fragcache::store::Store;
use fragcache::{Error, ErrorKind};
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[cfg(any(
    feature = "redis",
    feature = "memcached",
    all(any(feature = "file", feature = "sqlite"), unix)
))]
use super::builtin;
use super::environment;
use super::explain;
use super::sections::Layer;

/// Opens a store with the settings of a config.
type Open = dyn Fn(&Layer) -> Result<Arc<dyn Store>, Error> + Send + Sync;

/// The table of stores that do not come with this crate.
pub(super) const OWN_TABLE: &str = "store";

/// A kind of store.
#[derive(Clone)]
struct Kind {
    /// The table of its settings.
    table: &'static str,
    open: Arc<Open>,
}

/// The stores that a [`Config`](super::Config) can select by its `type`: those of this crate's
/// features, and any that you add.
///
/// A store is added in one line. Its crate needs no dependency on this one: it offers options that
/// implement `Deserialize`, and a function that opens the store.
///
/// ```
/// use fragcache::Error;
/// use fragcache_config::{Config, Stores};
/// # use fragcache::store::{Capabilities, Operation, Reply, Store, StoreError};
/// # #[derive(Debug)]
/// # pub struct Dynamo { region: String }
/// # impl Store for Dynamo {
/// #     fn capabilities(&self) -> Capabilities { Capabilities::new("dynamo") }
/// #     fn run(&self, _: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> { Err(StoreError::unsupported("dynamo")) }
/// # }
///
/// // In the crate of the store:
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// pub struct DynamoOptions {
///     region: String,
/// }
///
/// impl DynamoOptions {
///     pub fn open(self) -> Result<Dynamo, Error> {
///         Ok(Dynamo { region: self.region })
///     }
/// }
///
/// // In the program:
/// let stores =
///     Stores::new().with("dynamo", |settings| settings.read::<DynamoOptions>()?.open());
/// let config = Config::from_toml("type = 'dynamo'\n[store]\nregion = 'eu-central-1'")?;
/// config.build_with(&stores)?;
///
/// let error = Config::from_toml("type = 'dynamo'")?.build().unwrap_err();
/// assert!(error.message().contains("dynamo"));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Stores(BTreeMap<String, Kind>);

impl Stores {
    /// Creates a set with the stores of this crate's features: `redis`, `file`, `sqlite` and
    /// `memcached`.
    pub fn new() -> Self {
        #[allow(unused_mut, reason = "without features there is none")]
        let mut kinds = BTreeMap::new();
        #[cfg(feature = "redis")]
        kinds.insert("redis".to_owned(), Kind { table: "redis", open: Arc::new(builtin::redis) });
        #[cfg(all(feature = "file", unix))]
        kinds.insert("file".to_owned(), Kind { table: "file", open: Arc::new(builtin::file) });
        #[cfg(all(feature = "sqlite", unix))]
        kinds
            .insert("sqlite".to_owned(), Kind { table: "sqlite", open: Arc::new(builtin::sqlite) });
        #[cfg(feature = "memcached")]
        kinds.insert(
            "memcached".to_owned(),
            Kind { table: "memcached", open: Arc::new(builtin::memcached) },
        );
        Self(kinds)
    }

    /// Adds a store. `open` creates it from the config's table `[store]`. An existing name is
    /// replaced. `memory`, `null`, `redis`, `file`, `sqlite` and `memcached` are reserved: using one is an
    /// error when a cache is built.
    pub fn with<S: Store>(
        mut self,
        name: &str,
        open: impl Fn(&StoreSettings) -> Result<S, Error> + Send + Sync + 'static,
    ) -> Self {
        let open = move |layer: &Layer| -> Result<Arc<dyn Store>, Error> {
            let mut settings = layer.settings.store.clone().unwrap_or_default();
            settings.variables = layer.places.variables_of(OWN_TABLE).map(str::to_owned);
            match open(&settings) {
                Ok(store) => Ok(Arc::new(store)),
                Err(error) if error.location().is_some() => Err(error),
                Err(error) => {
                    let table = if layer.settings.store.is_some() { OWN_TABLE } else { "type" };
                    let names_variable = |prefix| {
                        error.message().contains(&environment::variable(prefix, OWN_TABLE))
                    };
                    match layer.places.named_in(&error) {
                        Some(setting) => Err(layer.places.about(setting, error)),
                        None if settings.variables.as_deref().is_some_and(names_variable) => {
                            Err(error)
                        }
                        None => Err(layer.places.about(table, error)),
                    }
                }
            }
        };
        self.0.insert(name.to_owned(), Kind { table: OWN_TABLE, open: Arc::new(open) });
        self
    }

    /// The names of the stores that were added.
    pub(super) fn own_names(&self) -> impl Iterator<Item = &str> {
        let own = self.0.iter().filter(|(_, kind)| kind.table == OWN_TABLE);
        own.map(|(name, _)| name.as_str())
    }

    /// The table of the settings of this store; `None` if it is unknown.
    pub(super) fn table(&self, name: &str) -> Option<&'static str> {
        self.0.get(name).map(|kind| kind.table)
    }

    /// Opens the store of this name.
    pub(super) fn open(&self, name: &str, layer: &Layer) -> Result<Arc<dyn Store>, Error> {
        match self.0.get(name) {
            Some(kind) => (kind.open)(layer),
            None => Err(layer.places.refuse("type", format!("unknown store {name:?}"))),
        }
    }
}

impl Default for Stores {
    fn default() -> Self {
        Self::new()
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
pub struct StoreSettings {
    table: toml::Table,
    /// The prefix of the variables that have all of them, for errors.
    #[serde(skip)]
    variables: Option<String>,
}

impl StoreSettings {
    /// Reads the settings into a type of your own. Derive `Deserialize` for it, with
    /// `#[serde(deny_unknown_fields)]` so that a misspelt setting is an error. [`Seconds`] and
    /// [`Bytes`] read times and sizes in the notations of the config's own settings.
    ///
    /// [`Seconds`]: crate::Seconds
    /// [`Bytes`]: crate::Bytes
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if a setting is missing, unknown or of another type. The error names
    /// the setting and does not show its value.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        toml::Value::Table(self.table.clone()).try_into().map_err(|cause: toml::de::Error| {
            Error::new(
                ErrorKind::Config,
                explain::of_own(&cause.to_string(), self.variables.as_deref()),
            )
        })
    }

    /// Overrides these settings with those that `over` has.
    pub(super) fn merge(&mut self, over: Self) {
        merge(&mut self.table, over.table);
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
        f.debug_set().entries(self.table.keys()).finish()
    }
}
