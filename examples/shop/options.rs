//! The command line: which shop to run, and where its cache stores entries.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use fragcache_config::Config;
use fragcache_examples::{Database, Engine};

const USAGE: &str = "\
usage: shop [--engine minijinja|tera] [--serve [ADDRESS]] [--database FILE]
            [--store memory|file:FOLDER|redis://HOST:PORT] [--near-ttl 2s] [--config FILE]

Without --serve: renders the pages and prints what each step cost.

--engine     MiniJinja or Tera; by default both are measured, and MiniJinja serves
--serve      serves a web site, by default on 127.0.0.1:3000
--database   the SQLite file, created and filled if it does not exist; by default a temporary one
--store      where the cache stores entries: in this process (memory, the default), in a folder, or on
             a Redis or Valkey server (redis://, rediss:// with TLS, unix:// for a socket)
--near-ttl   how long fragments are served without a lookup in a shared store: changes by another
             process may appear that much later; 0, the default, looks up on every hit
--config     the cache's settings from a TOML file and the variables FRAGCACHE_…, see docs/config.md;
             the other options override them. Put a password there: other users can see a command line

With SHOP_INSPECTOR_PASSWORD in the environment the site has a page /inspector, for the user \"staff\",
under ADDRESS, localhost, and the hosts in SHOP_INSPECTOR_HOSTS, separated by commas.

Two processes with the same --database and the same --store are one site.";

/// The setting that names a server.
const SERVER: &str = "REDIS__URL";

/// The parsed command line.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) engine: Option<Engine>,
    pub(crate) serve: Option<SocketAddr>,
    pub(crate) asks_for_help: bool,
    database: Option<PathBuf>,
    config: Option<PathBuf>,
    /// The settings that `--store` stands for, as environment variables would set them.
    store: Vec<(&'static str, String)>,
    near_ttl: Option<String>,
}

impl Options {
    pub(crate) fn parse(args: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut args = args.peekable();
        let mut options = Self::default();
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} of what?\n{USAGE}"));
            match arg.as_str() {
                "--engine" => options.engine = Some(value()?.parse()?),
                "--database" => options.database = Some(value()?.into()),
                "--config" => options.config = Some(value()?.into()),
                "--store" => options.store = store(&value()?)?,
                "--near-ttl" => options.near_ttl = Some(value()?),
                "--serve" => {
                    let address = args.next_if(|next| !next.starts_with("--"));
                    let address = address.as_deref().unwrap_or("127.0.0.1:3000");
                    let parsed = address.parse().with_context(|| {
                        format!("{address:?} is not an address; write one such as 127.0.0.1:3000")
                    })?;
                    options.serve = Some(parsed);
                }
                "--help" | "-h" => options.asks_for_help = true,
                _ => bail!("{arg:?} is unknown\n{USAGE}"),
            }
        }
        let is_shared = options.config.is_some() || options.store.len() > 1;
        ensure!(
            is_shared || options.near_ttl.is_none(),
            "--near-ttl needs a shared store; write --store redis://… too"
        );
        Ok(options)
    }

    /// The cache settings for the measurement, with a long store timeout. On a busy
    /// machine, a page that gives up on the store after 50 ms would measure nothing.
    pub(crate) fn patient_config(&self) -> anyhow::Result<Config> {
        let is_server = self.store.iter().any(|(name, _)| *name == SERVER);
        let patience = is_server.then_some(("tour REDIS__OPERATION_TIMEOUT", "10s"));
        Ok(self.config()?.with_variables("tour ", patience)?)
    }

    /// The cache settings.
    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        let config = match &self.config {
            Some(path) => Config::from_file(path)?.with_env("FRAGCACHE_")?,
            None => Config::from_toml("type = 'memory'")?,
        };
        // Options are settings like any other, and checked like them. The prefixes
        // appear in errors.
        let (store, near_ttl) = ("--store as ", "--near-ttl as ");
        let given = self.store.iter().map(|(name, value)| (format!("{store}{name}"), value));
        let config = config.with_variables(store, given)?;
        let given = self.near_ttl.iter().map(|life| (format!("{near_ttl}FAR__NEAR_TTL"), life));
        Ok(config.with_variables(near_ttl, given)?)
    }

    /// The database of the web site.
    pub(crate) fn database(&self) -> anyhow::Result<Database> {
        self.database.as_ref().map_or_else(Database::seeded, Database::open)
    }
}

/// The settings that `--store` stands for. They may contain a password and are not displayed.
fn store(given: &str) -> anyhow::Result<Vec<(&'static str, String)>> {
    let with = |kind: &str, setting, value: &str| {
        // Other data on the server or in the folder is not the shop's.
        vec![
            ("TYPE", kind.to_owned()),
            (setting, value.to_owned()),
            ("FAR__PREFIX", "shop".to_owned()),
        ]
    };
    let is_server = ["redis://", "rediss://", "unix://"].iter().any(|url| given.starts_with(url));
    match given.split_once(':') {
        _ if given == "memory" => Ok(vec![("TYPE", given.to_owned())]),
        _ if is_server => Ok(with("redis", SERVER, given)),
        Some(("file", folder)) if !folder.is_empty() => Ok(with("file", "FILE__DIR", folder)),
        _ => bail!("there is no such store; write memory, file:FOLDER or redis://127.0.0.1:6379"),
    }
}

/// The output of `--help`.
pub(crate) fn usage() -> &'static str {
    USAGE
}
