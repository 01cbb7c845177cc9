//! A cache from a file and the environment: the messages about settings, with one file per case in
//! `fixtures/config`; and a check that pages list every setting.

mod pages;
mod secrets;

use std::collections::BTreeMap;

use fragcache::Error;
use fragcache::store::{Capabilities, Operation, Reply, Store, StoreError};
use fragcache_config::{Config, Stores};
use serde::Deserialize;

use crate::support::fixtures;

/// The file format.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// The settings' file.
    #[serde(default)]
    config: String,
    /// Variables with the prefix `FRAGCACHE_`, which is left out.
    #[serde(default)]
    variables: BTreeMap<String, String>,
    /// Whether a cache is built.
    #[serde(default)]
    builds: bool,
}

/// A user-defined store, which forgets.
#[derive(Debug, Clone, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(super) struct Shelf {
    place: String,
    #[serde(default)]
    height: u32,
}

impl Store for Shelf {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("shelf")
    }

    fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> {
        let reply = |one: &Operation<'_>| match one {
            Operation::Get { .. } => Reply::Value(None),
            Operation::Set { .. } | Operation::Add { .. } => Reply::Done(true),
            _ => Reply::Done(false),
        };
        Ok(operations.iter().map(reply).collect())
    }
}

fn stores() -> Stores {
    Stores::new().with("shelf", |settings| settings.read::<Shelf>())
}

fn read(case: &Case) -> Result<Config, Error> {
    let variables = case.variables.iter().map(|(name, value)| (format!("FRAGCACHE_{name}"), value));
    Config::from_toml(&case.config)?.with_variables("FRAGCACHE_", variables)
}

#[test]
fn every_config_builds_or_is_refused_as_recorded() {
    insta::glob!("../fixtures/config", "*.toml", |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let case: Case = toml::from_str(&text).unwrap();
        let told = match read(&case).map(|config| config.build_all_with(&stores())) {
            Ok(Ok(_)) => "it builds".to_owned(),
            Ok(Err(error)) => shown("built", &error),
            Err(error) => shown("read", &error),
        };
        assert_eq!(case.builds, told == "it builds", "{}: {told}", path.display());
        insta::with_settings!({ description => case.config.trim_end(), omit_expression => true,
            prepend_module_to_snapshot => false, snapshot_path => fixtures("config/snapshots") }, {
            insta::assert_snapshot!("config", told);
        });
    });
}

/// One line in lower case that says what to write.
fn shown(when: &str, error: &Error) -> String {
    let text = error.to_string();
    assert!(!text.contains(char::is_control) && !text.ends_with('.'), "{text}");
    assert!(
        !text.starts_with(|c: char| c.is_uppercase()) || text.starts_with("FRAGCACHE"),
        "{text}"
    );
    let is_syntax = text.starts_with("this is not valid TOML: ");
    let advice = ["write", "did you mean", "remove", "leave", "unset", "add", "raise"];
    assert!(is_syntax || advice.iter().any(|word| text.contains(word)), "no advice in: {text}");
    assert_eq!(error.kind(), fragcache::ErrorKind::Config, "{text}");
    format!("when it is {when}\n{text}")
}

#[test]
fn a_store_of_ones_own_is_given_its_table() {
    let config = "type = 'shelf'\n[store]\nplace = 'cellar'\nheight = 1";
    let config = Config::from_toml(config).unwrap();
    let config = config.with_variables("S_", [("S_STORE__HEIGHT", "3")]).unwrap();
    let (told, given) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let stores = Stores::new().with("shelf", move |settings| {
        let shelf: Shelf = settings.read()?;
        told.lock().unwrap().send(shelf.clone()).unwrap();
        Ok(shelf)
    });
    config.build_with(&stores).unwrap();
    assert_eq!(given.recv().unwrap(), Shelf { place: "cellar".to_owned(), height: 3 });
}

#[test]
fn a_store_of_ones_own_cannot_take_a_name_of_ours() {
    let stores = Stores::new().with("redis", |settings| settings.read::<Shelf>());
    let error = Config::from_toml("type = 'memory'").unwrap().build_with(&stores).unwrap_err();
    assert!(error.message().contains("reserved"), "{error}");
}

#[test]
fn a_config_is_a_part_of_an_applications_settings() {
    #[derive(Deserialize)]
    struct Application {
        cache: Config,
    }
    let text = "[cache]\ntype = 'memory'\nmax_entries = 7";
    let Application { cache } = toml::from_str(text).unwrap();
    assert_eq!(cache, Config::from_toml("type = 'memory'\nmax_entries = 7").unwrap());
    assert!(toml::from_str::<Application>("[cache]\nmax_entry = 7").is_err());
}

#[test]
fn the_process_environment_is_read_by_its_prefix() {
    // No variables have this prefix; the test checks that all others are ignored.
    let config = Config::from_env("FRAGCACHE_TESTS_NEVER_SET_").unwrap();
    assert_eq!(config, Config::default());
}

#[test]
fn a_folder_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("pages");
    let table = format!(
        "type = 'file'\n[file]\ndir = '{}'\nmax_bytes = '2MiB'\nmax_records = 100\nmode = '640'\n\
         deadline = '1s'\ndurable = true",
        dir.display()
    );
    Config::from_toml(&table).unwrap().build().unwrap();
    assert!(dir.is_dir());

    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let table = format!("type = 'file'\n[file]\ndir = '{}'", file.display());
    let error = Config::from_toml(&table).unwrap().build().unwrap_err();
    assert!(error.to_string().ends_with("(in config:2:2)"), "{error}");
}

#[test]
fn a_file_is_named_in_its_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache.toml");
    std::fs::write(&path, "type = 'memory'\nmax_byte = 7\n").unwrap();
    let error = Config::from_file(&path).unwrap_err();
    let location = error.location().unwrap();
    assert_eq!(*location.template, *path.display().to_string());
    assert_eq!((location.line, location.column), (2, 1));
}
