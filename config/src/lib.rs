//! Caches of [`fragcache`] from TOML files and environment variables.
//!
//! ```
//! use fragcache_config::Config;
//!
//! let config = Config::from_toml("type = 'memory'\nmax_bytes = '16MiB'")?;
//! // In production: Config::from_file("cache.toml")?.with_env("FRAGCACHE_")?
//! let config = config.with_variables("FRAGCACHE_", [("FRAGCACHE_MAX_BYTES", "32MiB")])?;
//! let cache = config.build()?;
//! # let _ = cache;
//! # Ok::<(), fragcache::Error>(())
//! ```
//!
//! [`Config`] has the settings of a cache, and of several caches under names. [`Stores`] has the
//! stores that a config can name by its `type`: with the features `redis`, `file` and `sqlite`
//! those of `fragcache-redis`, `fragcache-file` and `fragcache-sqlite`, and any store that you add. The page `docs/config.md`
//! lists all settings.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

// `sections.rs` declares the settings, `assemble.rs` applies them, `stores.rs` opens stores by
// name, and `several.rs` handles several caches.

mod assemble;
#[cfg(any(
    feature = "redis",
    feature = "memcached",
    all(any(feature = "file", feature = "sqlite"), unix)
))]
mod builtin;
mod environment;
mod explain;
mod flask;
mod places;
mod sections;
mod several;
mod stores;
#[cfg(test)]
mod tests;
mod value;

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use fragcache::{CacheBuilder, Error, ErrorKind, FragmentCache};
use serde::{Deserialize, Deserializer};

pub use stores::{StoreSettings, Stores};
pub use value::{Bytes, Seconds};

use places::Places;
use sections::{Layer, Settings};

/// The settings of a cache, read from a TOML file and environment variables.
///
/// The page `docs/config.md` lists all settings with defaults and units. An unknown or misplaced
/// setting is an error, and so is a missing `type`.
///
/// `Debug` shows no secrets. A config implements `Deserialize`, so it can be part of your
/// application's own settings. The deserializer of those settings then reports the errors; that of
/// toml quotes the line.
///
/// ```
/// use fragcache_config::Config;
///
/// let config = Config::from_toml(
///     r#"
///     type = "memory"
///     default_timeout = "5m"
///     max_bytes = "16MiB"
///     "#,
/// )?;
/// // In production: config.with_env("FRAGCACHE_")?
/// let config = config.with_variables("FRAGCACHE_", [("FRAGCACHE_MAX_BYTES", "32MiB")])?;
/// let cache = config.build()?;
/// assert_eq!(cache.stats().entries, 0);
///
/// let error = Config::from_toml("type = 'memory'\nmax_byte = 1").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "unknown setting max_byte; did you mean max_bytes? (in config:2:1)"
/// );
/// # Ok::<(), fragcache::Error>(())
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Config(Layer);

impl Config {
    /// Reads the settings in a TOML text. Errors call it `config`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] with line and column if the text is not TOML, or if a setting is
    /// unknown or has an unusable value.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        Self::parse("config", text)
    }

    /// Reads the settings in a file. Relative paths in it are relative to the process's working
    /// directory.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the file cannot be read; otherwise as [`from_toml`](Self::from_toml).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|cause| {
            let message = format!(
                "the settings in {} cannot be read: {}; write the path of a TOML file",
                path.display(),
                cause.kind()
            );
            Error::new(ErrorKind::Io, message).with_source(cause)
        })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads the settings in environment variables whose names begin with `prefix`; see
    /// [`with_env`](Self::with_env).
    ///
    /// # Errors
    ///
    /// As [`with_env`](Self::with_env).
    pub fn from_env(prefix: &str) -> Result<Self, Error> {
        Self::default().with_env(prefix)
    }

    /// Overrides these settings with those of the environment. With the prefix `FRAGCACHE_`, the
    /// variable `FRAGCACHE_MAX_BYTES` is the setting `max_bytes`, and `FRAGCACHE_REDIS__URL` is
    /// `url` in the table `[redis]`. Values are written as in the file, without the quotes.
    ///
    /// A variable replaces the setting, and also an alternative to it: `mac_key_file` replaces
    /// `mac_key`. A variable that selects another type drops the tables of the type before.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`], naming the variable, if one with this prefix is not a setting, is
    /// empty or has an unusable value; and if the prefix is empty.
    pub fn with_env(self, prefix: &str) -> Result<Self, Error> {
        self.with_variables(prefix, std::env::vars_os())
    }

    /// Like [`with_env`](Self::with_env), with these variables instead of the process's.
    ///
    /// # Errors
    ///
    /// As [`with_env`](Self::with_env).
    ///
    /// ```
    /// use fragcache_config::Config;
    ///
    /// let variables = [("SHOP_CACHE_TYPE", "null"), ("HOME", "/root")];
    /// let config = Config::default().with_variables("SHOP_CACHE_", variables)?;
    /// config.build()?;
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn with_variables<N, V>(
        mut self,
        prefix: &str,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, Error>
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        let Layer { settings, places, ignored } = environment::layer(prefix, variables)?;
        self.0.settings.overlay(settings);
        self.0.places.merge(places);
        self.0.ignored.extend(ignored);
        Ok(self)
    }

    /// Builds the cache; the default one, if there are [several](Self::build_all).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if settings do not go together, if the type is missing or unknown or
    /// its feature is off, or if the file of a secret cannot be read; otherwise as
    /// [`CacheBuilder::build`].
    pub fn build(&self) -> Result<FragmentCache, Error> {
        self.build_with(&Stores::new())
    }

    /// Builds the cache, which may use a store of your own.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build), and the error of opening the store.
    pub fn build_with(&self, stores: &Stores) -> Result<FragmentCache, Error> {
        let builder = assemble::builder(&self.0, stores)?;
        builder.build().map_err(|error| self.0.places.locate(error))
    }

    /// Returns a builder with these settings, to add what only code can set: an observer, a clock.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    ///
    /// ```
    /// use fragcache::MonotonicClock;
    /// use fragcache_config::Config;
    ///
    /// let builder = Config::from_toml("type = 'memory'")?.into_builder()?;
    /// let cache = builder.clock(MonotonicClock::default()).build()?;
    /// assert_eq!(cache.stats().entries, 0);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn into_builder(self) -> Result<CacheBuilder, Error> {
        self.into_builder_with(&Stores::new())
    }

    /// Like [`into_builder`](Self::into_builder), with stores of your own.
    ///
    /// # Errors
    ///
    /// As [`build_with`](Self::build_with).
    pub fn into_builder_with(self, stores: &Stores) -> Result<CacheBuilder, Error> {
        assemble::builder(&self.0, stores)
    }

    /// Returns the names of variables that [Flask-Caching](https://flask-caching.readthedocs.io)
    /// reads and this crate ignores, such as a `CACHE_TYPE` that an earlier release of an
    /// application left in its environment. With the feature `tracing`, [`build`](Self::build) and
    /// its siblings log them at level `WARN`.
    ///
    /// ```
    /// use fragcache_config::Config;
    ///
    /// let variables = [("FRAGCACHE_TYPE", "null"), ("CACHE_TYPE", "RedisCache")];
    /// let config = Config::default().with_variables("FRAGCACHE_", variables)?;
    /// assert_eq!(config.ignored_variables().collect::<Vec<_>>(), ["CACHE_TYPE"]);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn ignored_variables(&self) -> impl Iterator<Item = &str> {
        self.0.ignored.iter().map(|name| &**name)
    }

    /// Returns the value of `type`, for programs that open stores of several kinds; `None` if it is
    /// not set.
    ///
    /// ```
    /// use fragcache_config::Config;
    ///
    /// assert_eq!(Config::from_toml("type = 'redis'")?.type_name(), Some("redis"));
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn type_name(&self) -> Option<&str> {
        self.0.settings.r#type.as_deref()
    }

    /// Returns the folder of the file store, if one is set. It need not exist.
    ///
    /// ```
    /// use fragcache_config::Config;
    ///
    /// let config = Config::from_toml("type = 'file'\nfile.dir = '/var/cache/shop'")?;
    /// assert_eq!(config.file_dir(), Some("/var/cache/shop".as_ref()));
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn file_dir(&self) -> Option<&Path> {
        self.0.settings.file.as_ref()?.dir.as_deref()
    }

    /// Returns the path of the SQLite database, if one is set. It need not exist.
    ///
    /// ```
    /// use fragcache_config::Config;
    ///
    /// let config = Config::from_toml("type = 'sqlite'\nsqlite.path = '/var/cache/shop.sqlite'")?;
    /// assert_eq!(config.sqlite_path(), Some("/var/cache/shop.sqlite".as_ref()));
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn sqlite_path(&self) -> Option<&Path> {
        self.0.settings.sqlite.as_ref()?.path.as_deref()
    }

    fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let settings: Settings =
            toml::from_str(text).map_err(|cause| explain::of_file(name, text, &cause))?;
        Ok(Self(Layer { settings, places: Places::of_file(name, text), ..Layer::default() }))
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let settings = Settings::deserialize(deserializer)?;
        Ok(Self(Layer { settings, ..Layer::default() }))
    }
}

/// Configs are equal if their settings are; where they were read does not matter.
impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        self.0.settings == other.0.settings
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.settings.fmt(f)
    }
}

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
