//! From options, file and environment to a cache. What the settings mean is in `fragcache::config`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use fragcache::FragmentCache;
use fragcache::admin::Admin;
use fragcache::config::Config;

use crate::keys;
use crate::options::{Options, Place};
use crate::say::Stop;

/// The variable that names the config file.
const CONFIG_VARIABLE: &str = "FRAGCACHE_CONFIG";

/// A cache that has a store.
pub(crate) struct Opened {
    pub(crate) cache: FragmentCache,
    pub(crate) admin: Admin,
    pub(crate) deadline: Duration,
}

impl Opened {
    pub(crate) fn new(options: &Options) -> Result<Self, Stop> {
        let cache = config(options)?.build()?;
        let admin = Admin::new(&cache)?;
        Ok(Self { cache, admin, deadline: options.deadline })
    }

    /// The handle for a namespace, or for everything.
    pub(crate) fn place(&self, place: &Place) -> Result<FragmentCache, Stop> {
        let names = match &place.namespace {
            Some(text) => keys::namespaces(text)?,
            None => Vec::new(),
        };
        Ok(names.iter().fold(self.cache.clone(), |cache, name| cache.namespace(name)))
    }

    /// The administrator of a namespace, or of everything.
    pub(crate) fn admin_of(&self, place: &Place) -> Result<Admin, Stop> {
        Ok(Admin::new(&self.place(place)?)?)
    }
}

fn config(options: &Options) -> Result<Config, Stop> {
    let prefix = options.env_prefix.as_str();
    let named = std::env::var_os(CONFIG_VARIABLE).map(PathBuf::from);
    let file = options.config.clone().or(named.filter(|_| options.store.is_none()));
    let base = match &file {
        Some(path) => Config::from_file(path)?,
        None => Config::default(),
    };
    let of_settings = |(name, _): &(OsString, OsString)| name != CONFIG_VARIABLE;
    let mut config = base.with_variables(prefix, std::env::vars_os().filter(of_settings))?;
    let mut over: Vec<(&str, String)> = Vec::new();
    if let Some(store) = &options.store {
        over.extend(shortcut(store)?);
    }
    if let Some(prefix) = &options.prefix {
        over.push(("FAR__PREFIX", prefix.clone()));
    }
    let named = |over: Vec<(&str, String)>| -> Vec<(String, String)> {
        over.into_iter().map(|(setting, value)| (format!("{prefix}{setting}"), value)).collect()
    };
    config = config.with_variables(prefix, named(over))?;
    let deadline = format!("{}ms", options.deadline.as_millis().max(1));
    let over = match config.type_name() {
        Some("redis") => vec![
            ("REDIS__OPERATION_TIMEOUT", deadline.clone()),
            ("REDIS__CONNECT_TIMEOUT", deadline),
        ],
        Some("file") => vec![("FILE__DEADLINE", deadline)],
        Some(_) => Vec::new(),
        None if file.is_none() => {
            return Err(Stop::Failed(format!(
                "there is no config; write --config FILE, set {CONFIG_VARIABLE} or {prefix}TYPE, or \
                 write --store redis://HOST or --store file:FOLDER"
            )));
        }
        None => Vec::new(),
    };
    Ok(config.with_variables(prefix, named(over))?)
}

/// The settings that `--store` stands for. What was given is not repeated: it may hold a password.
fn shortcut(store: &str) -> Result<[(&'static str, String); 2], Stop> {
    if ["redis://", "rediss://", "unix://"].iter().any(|scheme| store.starts_with(scheme)) {
        return Ok([("TYPE", "redis".to_owned()), ("REDIS__URL", store.to_owned())]);
    }
    let Some(folder) = store.strip_prefix("file:").filter(|folder| !folder.is_empty()) else {
        return Err(Stop::Usage(
            "--store is none that is known; write redis://HOST:PORT, rediss://HOST:PORT, \
             unix:///PATH or file:FOLDER"
                .to_owned(),
        ));
    };
    // A new store by a slip of the pen would be empty, and everything in it deleted with success.
    if !PathBuf::from(folder).is_dir() {
        return Err(Stop::Failed(
            "the folder of --store is not there; write one that a cache has made".to_owned(),
        ));
    }
    Ok([("TYPE", "file".to_owned()), ("FILE__DIR", folder.to_owned())])
}
