//! Caches from a file and the environment (feature `config`). Here is the front door; what may be
//! written is in `sections.rs`, what it does in `assemble.rs`, and several caches in `several.rs`.

mod assemble;
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

use serde::{Deserialize, Deserializer};

use crate::builder::CacheBuilder;
use crate::cache::FragmentCache;
use crate::error::{Error, ErrorKind};

pub use stores::{StoreSettings, Stores};

use places::Places;
use sections::{Layer, Settings};

/// The settings of a cache, as a TOML file and environment variables have them.
///
/// All settings, their defaults and units are on the page `docs/config.md`. A setting that is
/// unknown or out of place is an error, and so is a config without a `type`.
///
/// `Debug` shows no secrets. A config may also be a part of your application's own settings, as it is
/// `Deserialize`; errors are then told by the deserializer of those, and toml's quote the line.
///
/// ```
/// use fragcache::config::Config;
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
///     "there is no setting max_byte; did you mean max_bytes? write that, or remove it (in config:2:1)"
/// );
/// # Ok::<(), fragcache::Error>(())
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Config(Layer);

impl Config {
    /// The settings in a text. In errors it is called `config`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] with line and column, when the text is no TOML, and for a setting that
    /// is unknown or has an unusable value.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        Self::parse("config", text)
    }

    /// The settings in a file. Paths in it are as seen from the folder in which the process runs.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when the file cannot be read, and as [`from_toml`](Self::from_toml).
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

    /// The settings in environment variables whose names begin with `prefix`; see
    /// [`with_env`](Self::with_env).
    ///
    /// # Errors
    ///
    /// As [`with_env`](Self::with_env).
    pub fn from_env(prefix: &str) -> Result<Self, Error> {
        Self::default().with_env(prefix)
    }

    /// The same settings with those of the environment over them. `FRAGCACHE_MAX_BYTES`, with the
    /// prefix `FRAGCACHE_`, is the setting `max_bytes`, and `FRAGCACHE_REDIS__URL` is `url` in the
    /// table `[redis]`. Values are written as in the file, without the quotes.
    ///
    /// A variable replaces a setting, and the other way to say the same: `mac_key_file` where
    /// `mac_key` is set. One that chooses another type puts the tables of the one before aside.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] that names the variable, for one with this prefix that is no setting, is
    /// empty or has an unusable value; and for an empty prefix.
    pub fn with_env(self, prefix: &str) -> Result<Self, Error> {
        self.with_variables(prefix, std::env::vars_os())
    }

    /// As [`with_env`](Self::with_env), with these variables in place of the process's.
    ///
    /// # Errors
    ///
    /// As [`with_env`](Self::with_env).
    ///
    /// ```
    /// use fragcache::config::Config;
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

    /// The cache: the default one, if there are [several](Self::build_all).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for settings that do not go together, a type that is missing or
    /// unknown, or whose feature is off, and a secret's file that cannot be read; and as
    /// [`CacheBuilder::build`].
    pub fn build(&self) -> Result<FragmentCache, Error> {
        self.build_with(&Stores::new())
    }

    /// The cache, which may be in a store of your own.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build), and what opening the store fails with.
    pub fn build_with(&self, stores: &Stores) -> Result<FragmentCache, Error> {
        let builder = assemble::builder(&self.0, stores)?;
        builder.build().map_err(|error| self.0.places.locate(error))
    }

    /// A builder with these settings, for what only code can say: the observer, the clock.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    ///
    /// ```
    /// use fragcache::MonotonicClock;
    /// use fragcache::config::Config;
    ///
    /// let builder = Config::from_toml("type = 'memory'")?.into_builder()?;
    /// let cache = builder.clock(MonotonicClock::default()).build()?;
    /// assert_eq!(cache.stats().entries, 0);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn into_builder(self) -> Result<CacheBuilder, Error> {
        self.into_builder_with(&Stores::new())
    }

    /// As [`into_builder`](Self::into_builder), with stores of your own.
    ///
    /// # Errors
    ///
    /// As [`build_with`](Self::build_with).
    pub fn into_builder_with(self, stores: &Stores) -> Result<CacheBuilder, Error> {
        assemble::builder(&self.0, stores)
    }

    /// The names of variables that [Flask-Caching](https://flask-caching.readthedocs.io) reads and
    /// that mean nothing here, such as a `CACHE_TYPE` that an earlier release of an application left in
    /// its environment. With the feature `tracing`, [`build`](Self::build) and its siblings tell of them
    /// at level `WARN`.
    ///
    /// ```
    /// use fragcache::config::Config;
    ///
    /// let variables = [("FRAGCACHE_TYPE", "null"), ("CACHE_TYPE", "RedisCache")];
    /// let config = Config::default().with_variables("FRAGCACHE_", variables)?;
    /// assert_eq!(config.ignored_variables().collect::<Vec<_>>(), ["CACHE_TYPE"]);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn ignored_variables(&self) -> impl Iterator<Item = &str> {
        self.0.ignored.iter().map(|name| &**name)
    }

    /// What `type` says, for programs that open a store of several kinds; `None` if nothing does.
    ///
    /// ```
    /// use fragcache::config::Config;
    ///
    /// assert_eq!(Config::from_toml("type = 'redis'")?.type_name(), Some("redis"));
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn type_name(&self) -> Option<&str> {
        self.0.settings.r#type.as_deref()
    }

    /// The folder of the store of files, if one is set; whether it is there is not looked at.
    ///
    /// ```
    /// use fragcache::config::Config;
    ///
    /// let config = Config::from_toml("type = 'file'\nfile.dir = '/var/cache/shop'")?;
    /// assert_eq!(config.file_dir(), Some("/var/cache/shop".as_ref()));
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn file_dir(&self) -> Option<&Path> {
        self.0.settings.file.as_ref()?.dir.as_deref()
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

/// Equal are the settings, wherever they were read.
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
