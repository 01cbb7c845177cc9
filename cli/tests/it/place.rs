//! The stores of the tests, and a function that runs the tool on them.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use fragcache::store::Store;
use fragcache::{FarLevel, Fragment, FragmentCache};
use fragcache_file::FileStore;
use fragcache_redis::RedisOptions;
use fragcache_servers::{Flavour, RedisServer};
use tempfile::TempDir;

/// End of the line about a deletion that does not look up the entries.
pub(crate) const UNCOUNTED: &str = "; the number of entries is not known and may be 0\n";

/// The tool's output and exit code.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// The standard output of a successful run.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// The standard error of a run that ended with this code and without other output.
    #[track_caller]
    pub(crate) fn stopped(self, code: i32) -> String {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        self.err
    }

    /// The value on a line of a report.
    #[track_caller]
    pub(crate) fn value(&self, name: &str) -> String {
        let line = self.out.lines().find(|line| line.split_whitespace().next() == Some(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {self:?}"));
        line[name.len()..].trim().to_owned()
    }
}

/// Runs the tool with these variables and no others.
pub(crate) fn run_with(variables: &[(&str, &str)], arguments: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fragcache"));
    command.env_clear().envs(variables.iter().copied()).args(arguments);
    let output = command.output().unwrap();
    Said {
        code: output.status.code().expect("it was not killed"),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A store and where it is.
pub(crate) struct Place {
    pub(crate) address: String,
    pub(crate) store: Arc<dyn Store>,
    _folder: Option<TempDir>,
    _server: Option<RedisServer>,
}

impl Place {
    pub(crate) fn folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::options().deadline(PATIENCE).open(folder.path()).unwrap();
        Self {
            address: format!("file:{}", folder.path().display()),
            store: Arc::new(store),
            _folder: Some(folder),
            _server: None,
        }
    }

    pub(crate) fn redis() -> Self {
        let server = RedisServer::start(Flavour::Redis);
        Self {
            address: server.url(),
            store: Arc::new(patient(&server)),
            _folder: None,
            _server: Some(server),
        }
    }

    pub(crate) fn each() -> [Self; 2] {
        [Self::folder(), Self::redis()]
    }

    pub(crate) fn level(&self) -> FarLevel {
        FarLevel::shared(Arc::clone(&self.store))
    }

    /// A cache, as in an application's process.
    pub(crate) fn cache(&self) -> FragmentCache {
        FragmentCache::builder().far(self.level()).build().unwrap()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        run_with(&[], &[&["--store", &self.address], arguments].concat())
    }
}

/// Longer than a busy machine takes.
const PATIENCE: Duration = Duration::from_secs(10);

fn patient(server: &RedisServer) -> fragcache_redis::RedisStore {
    let options = RedisOptions::new(server.url());
    options.operation_timeout(PATIENCE).connect_timeout(PATIENCE).open().unwrap()
}

/// Stores a fragment.
pub(crate) fn put(cache: &FragmentCache, fragment: &Fragment, markup: &str) {
    cache.render(fragment, || markup).unwrap();
    assert_eq!(cache.get(fragment.key()).unwrap().as_deref(), Some(markup));
}
