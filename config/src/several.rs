//! Several caches in one config. The settings of the default cache are at the top level; each other
//! cache has a table `[caches.NAME]`, which may contain everything that a file may.

use std::collections::BTreeMap;
use std::fmt;

use fragcache::{Caches, Error};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::sections::{Layer, Settings};
use super::stores::Stores;
use super::{Config, assemble};

/// The table of the named caches.
pub(super) const TABLE: &str = "caches";

/// The settings of the named caches.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Named(BTreeMap<String, Settings>);

impl Named {
    /// Overrides these settings with those that `over` has.
    pub(super) fn merge(&mut self, over: Self) {
        for (name, settings) in over.0 {
            self.0.entry(name).or_default().merge(settings);
        }
    }

    /// Like [`merge`](Self::merge), with [`Settings::overlay`] for each cache.
    pub(super) fn overlay(&mut self, over: Self) {
        for (name, settings) in over.0 {
            self.0.entry(name).or_default().overlay(settings);
        }
    }
}

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tables;

        impl<'de> Visitor<'de> for Tables {
            type Value = Named;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table for each cache, such as [caches.pages]")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut tables: A) -> Result<Named, A::Error> {
                let mut named = BTreeMap::new();
                while let Some(name) = tables.next_key::<String>()? {
                    check(&name).map_err(A::Error::custom)?;
                    let settings: Settings = tables.next_value()?;
                    if settings.caches.is_some() {
                        return Err(A::Error::custom(format!(
                            "the cache {name:?} contains other caches; write a table [caches.NAME] \
                             for each of them, beside this one"
                        )));
                    }
                    named.insert(name, settings);
                }
                Ok(Named(named))
            }
        }

        deserializer.deserialize_map(Tables)
    }
}

/// Allows only names that a variable can spell too.
fn check(name: &str) -> Result<(), String> {
    let shown: String = name.chars().take(40).collect();
    if name == "default" {
        return Err("the settings of the default cache have no table; write them above all \
                    tables, or give this one another name"
            .to_owned());
    }
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    let is_short = (1..=64).contains(&name.len());
    if !is_short || !name.bytes().all(is_plain) || name.contains("__") {
        return Err(format!(
            "a cache cannot be called {shown:?} here; write at most 64 lower-case letters, digits, \
             \"-\" and single \"_\", such as [caches.pages]"
        ));
    }
    Ok(())
}

impl Config {
    /// Builds all caches of this config under their names, for `add_to_environment` and
    /// `add_to_tera`: the default cache from the top level, and one cache for each table
    /// `[caches.NAME]`, which may contain everything that a file for one cache may. No cache
    /// inherits settings from another.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build), with the name of the cache; also if two caches would use one
    /// store with the same prefix.
    ///
    /// ```
    /// use fragcache_config::Config;
    ///
    /// let config = Config::from_toml(
    ///     r#"
    ///     type = "memory"
    ///
    ///     [caches.pages]
    ///     type = "memory"
    ///     default_timeout = "1h"
    ///     max_bytes = "256MiB"
    ///     "#,
    /// )?;
    /// let config = config.with_variables("SHOP_", [("SHOP_CACHES__PAGES__TYPE", "null")])?;
    /// let caches = config.build_all()?;
    /// assert!(caches.get("pages").is_some());
    ///
    /// let error = Config::from_toml("type = 'memory'\n[caches.pages]")?.build_all().unwrap_err();
    /// assert!(error.message().starts_with("in the cache \"pages\": type is missing"));
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn build_all(&self) -> Result<Caches, Error> {
        self.build_all_with(&Stores::new())
    }

    /// Like [`build_all`](Self::build_all), with stores of your own.
    ///
    /// # Errors
    ///
    /// As [`build_all`](Self::build_all), and the error of opening a store.
    pub fn build_all_with(&self, stores: &Stores) -> Result<Caches, Error> {
        self.check_apart()?;
        let mut caches = Caches::new(self.build_with(stores)?);
        for name in self.names() {
            let Some(config) = self.named(name) else { continue };
            let cache = config
                .build_with(stores)
                .map_err(|error| error.within(&format!("in the cache {name:?}")))?;
            caches = caches.with(name, cache)?;
        }
        Ok(caches)
    }

    /// Returns the names of the tables `[caches.NAME]`, in order.
    ///
    /// ```
    /// use fragcache_config::Config;
    ///
    /// let config = Config::from_toml("[caches.rows]\n[caches.pages]")?;
    /// assert!(config.names().eq(["pages", "rows"]));
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let named = self.0.settings.caches.iter();
        named.flat_map(|named| named.0.keys().map(String::as_str))
    }

    /// Returns the settings of the cache of that name as a config, to add what only code can set:
    /// an observer, a clock. `None` if it has no table.
    ///
    /// ```
    /// use fragcache_config::Config;
    /// use fragcache::MonotonicClock;
    /// use fragcache::Caches;
    ///
    /// let config = Config::from_toml("type = 'memory'\n[caches.pages]\ntype = 'memory'")?;
    /// assert!(config.named("rows").is_none());
    ///
    /// let mut caches = Caches::new(config.build()?);
    /// if let Some(pages) = config.named("pages") {
    ///     let builder = pages.into_builder()?.clock(MonotonicClock::default());
    ///     caches = caches.with("pages", builder.build()?)?;
    /// }
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn named(&self, name: &str) -> Option<Self> {
        let settings = self.0.settings.caches.as_ref()?.0.get(name)?.clone();
        let places = self.0.places.within(&format!("{TABLE}.{name}"));
        Some(Self(Layer { settings, places, ..Layer::default() }))
    }

    /// Refuses two names for one cache, which would have two near levels and two default timeouts.
    fn check_apart(&self) -> Result<(), Error> {
        let default = std::iter::once(("default", &self.0.settings));
        let named = self.0.settings.caches.iter().flat_map(|named| &named.0);
        let mut seen: Vec<(&str, &Settings)> = Vec::new();
        for (name, settings) in default.chain(named.map(|(name, own)| (name.as_str(), own))) {
            if let Some((other, _)) =
                seen.iter().find(|(_, other)| assemble::share_a_place(other, settings))
            {
                return Err(self.0.places.refuse(
                    &format!("{TABLE}.{name}"),
                    format!(
                        "the caches {other:?} and {name:?} share one store and one prefix; write \
                         prefix = {name:?} in the table [{TABLE}.{name}.far]"
                    ),
                ));
            }
            seen.push((name, settings));
        }
        Ok(())
    }
}
