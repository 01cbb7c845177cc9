//! Locates the programs of the servers.

use std::path::{Path, PathBuf};

/// The kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// `redis-server`, from the path or `FRAGCACHE_REDIS_SERVER`.
    Redis,
    /// `valkey-server`, from `target/servers` or `FRAGCACHE_VALKEY_SERVER`.
    Valkey,
}

impl Flavour {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Redis, Self::Valkey];

    /// The path of the server's program.
    pub(crate) fn program(self) -> PathBuf {
        let (variable, found) = match self {
            Self::Redis => ("FRAGCACHE_REDIS_SERVER", on_path("redis-server")),
            Self::Valkey => ("FRAGCACHE_VALKEY_SERVER", installed("valkey-server")),
        };
        if let Some(given) = std::env::var_os(variable) {
            let given = PathBuf::from(given);
            assert!(given.is_file(), "{variable} names {}, which is no file", given.display());
            return given;
        }
        found.unwrap_or_else(|| {
            panic!("no program for {self:?}; run `servers/install`, or name one in {variable}")
        })
    }
}

/// The path of `memcached`, from the path or `FRAGCACHE_MEMCACHED`.
pub(crate) fn memcached() -> PathBuf {
    if let Some(given) = std::env::var_os("FRAGCACHE_MEMCACHED") {
        let given = PathBuf::from(given);
        assert!(given.is_file(), "FRAGCACHE_MEMCACHED names {}, no file", given.display());
        return given;
    }
    on_path("memcached").unwrap_or_else(|| {
        panic!("no memcached; run `servers/install memcached`, or name one in FRAGCACHE_MEMCACHED")
    })
}

/// The path of the browser: `chromium`, from the path or `FRAGCACHE_CHROMIUM`.
pub(crate) fn chromium() -> PathBuf {
    if let Some(given) = std::env::var_os("FRAGCACHE_CHROMIUM") {
        let given = PathBuf::from(given);
        assert!(given.is_file(), "FRAGCACHE_CHROMIUM names {}, no file", given.display());
        return given;
    }
    on_path("chromium").unwrap_or_else(|| {
        panic!("no chromium; run `servers/install chromium`, or name one in FRAGCACHE_CHROMIUM")
    })
}

fn on_path(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn installed(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    Some(root.join("target/servers").join(name)).filter(|file| file.is_file())
}
