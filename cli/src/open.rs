//! Opens a cache from options, file and environment. The settings are defined in
//! `fragcache_config`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fragcache::FragmentCache;
use fragcache::admin::Admin;
use fragcache_config::Config;

use crate::keys;
use crate::options::{Options, Place};
use crate::say::{Stop, complain, instant, shown};

/// The environment variable that names the config file.
const CONFIG_VARIABLE: &str = "FRAGCACHE_CONFIG";

/// A cache with a store.
pub(crate) struct Opened {
    pub(crate) cache: FragmentCache,
    pub(crate) admin: Admin,
    /// Start of the first store call, and the time limit of the whole command.
    start: Instant,
    pub(crate) deadline: Duration,
}

impl Opened {
    pub(crate) fn new(options: &Options) -> Result<Self, Stop> {
        let config = config(options)?;
        for variable in config.ignored_variables() {
            complain(&format!(
                "note: {variable} is a variable of Flask-Caching, which fragcache does not read"
            ));
        }
        let start = instant();
        let cache = config.build()?;
        let admin = Admin::new(&cache)?;
        Ok(Self { cache, admin, start, deadline: options.deadline })
    }

    /// The remaining time. A command makes several store calls, and each may take all of it.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_sub(self.start.elapsed())
    }

    /// The error text for a store that did not answer in time.
    pub(crate) fn silence(&self) -> String {
        let fault = self.cache.health().last_fault;
        let fault = fault.unwrap_or_else(|| "it is unavailable after an outage".to_owned());
        format!("the store could not be reached: {fault}")
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
    let shortcut = options.store.as_deref().map(Shortcut::new).transpose()?;
    let of_settings = |(name, _): &(OsString, OsString)| {
        let setting = name.to_str().and_then(|name| name.strip_prefix(prefix));
        let is_aside = |setting| shortcut.as_ref().is_some_and(|store| store.puts_aside(setting));
        name != CONFIG_VARIABLE && !setting.is_some_and(is_aside)
    };
    let mut variables: Vec<_> = std::env::vars_os().filter(of_settings).collect();
    let mut set = |setting: &str, value: &str| {
        variables.push((format!("{prefix}{setting}").into(), value.into()));
    };
    if let Some(store) = &shortcut {
        set("TYPE", store.kind);
        set(store.setting, &store.place);
    }
    if let Some(prefix) = &options.prefix {
        set("FAR__PREFIX", prefix);
    }
    let config = base.with_variables(prefix, variables)?;
    let deadline = format!("{}ms", options.deadline.as_millis().max(1));
    let over = match config.type_name() {
        Some("redis") => vec![
            ("REDIS__OPERATION_TIMEOUT", deadline.clone()),
            ("REDIS__CONNECT_TIMEOUT", deadline),
        ],
        Some("memcached") => vec![
            ("MEMCACHED__OPERATION_TIMEOUT", deadline.clone()),
            ("MEMCACHED__CONNECT_TIMEOUT", deadline),
        ],
        Some("file") => vec![("FILE__DEADLINE", deadline)],
        Some("sqlite") => vec![("SQLITE__DEADLINE", deadline)],
        Some(_) => Vec::new(),
        None if file.is_none() => {
            return Err(Stop::Failed(format!(
                "there is no config; write --config FILE, set {CONFIG_VARIABLE} or {prefix}TYPE, or \
                 write --store redis://HOST, memcached://HOST, file:FOLDER or sqlite:FILE"
            )));
        }
        None => Vec::new(),
    };
    let over = over.into_iter().map(|(setting, value)| (format!("{prefix}{setting}"), value));
    let config = config.with_variables(prefix, over)?;
    match config.sqlite_path().filter(|_| config.type_name() == Some("sqlite")) {
        Some(path) if !path.is_file() => {
            return Err(Stop::Failed(format!(
                "there is no database {}; write the path of one that a cache has created",
                shown(&path.to_string_lossy())
            )));
        }
        _ => {}
    }
    match config.file_dir().filter(|_| config.type_name() == Some("file")) {
        // A folder created because of a typo, or because of a relative path from another
        // folder, would be an empty store, and every deletion in it would succeed.
        Some(folder) if !folder.is_dir() => Err(Stop::Failed(format!(
            "there is no folder {}; write the path of a folder that a cache has created",
            shown(&folder.to_string_lossy())
        ))),
        _ => Ok(config),
    }
}

/// The settings that `--store` stands for. Errors do not repeat its value, which may contain a
/// password.
struct Shortcut {
    kind: &'static str,
    setting: &'static str,
    place: String,
}

impl Shortcut {
    fn new(store: &str) -> Result<Self, Stop> {
        let scheme = store.split_once("://").map_or("", |(scheme, _)| scheme);
        let of_one = ["-sentinel", "-cluster"].iter().find_map(|end| scheme.strip_suffix(end));
        match of_one.unwrap_or(scheme) {
            "redis" | "rediss" | "valkey" | "valkeys" | "unix" => {
                return Ok(Self { kind: "redis", setting: "REDIS__URL", place: store.to_owned() });
            }
            "memcached" | "memcacheds" | "memcached+unix" => {
                return Ok(Self {
                    kind: "memcached",
                    setting: "MEMCACHED__URL",
                    place: store.to_owned(),
                });
            }
            _ => {}
        }
        let after = |scheme| store.strip_prefix(scheme).filter(|path: &&str| !path.is_empty());
        match (after("file:"), after("sqlite:")) {
            (Some(folder), _) => {
                Ok(Self { kind: "file", setting: "FILE__DIR", place: folder.to_owned() })
            }
            (_, Some(path)) => {
                Ok(Self { kind: "sqlite", setting: "SQLITE__PATH", place: path.to_owned() })
            }
            (None, None) => Err(Stop::Usage(
                "--store is not a known store; write redis://HOST:PORT, rediss://HOST:PORT, \
                 unix:///PATH, redis-sentinel://HOST,HOST/0?master=NAME, redis-cluster://HOST,HOST, \
                 memcached://HOST:PORT,HOST:PORT, file:FOLDER or sqlite:FILE"
                    .to_owned(),
            )),
        }
    }

    /// Whether an environment setting selects a store, or belongs to another type of store.
    fn puts_aside(&self, setting: &str) -> bool {
        let own = self.setting.split_once("__").map_or("", |(table, _)| table);
        let table = setting.split_once("__").map_or("", |(table, _)| table);
        ["TYPE", self.setting].contains(&setting)
            || (table != own && ["REDIS", "MEMCACHED", "FILE", "SQLITE", "STORE"].contains(&table))
    }
}
