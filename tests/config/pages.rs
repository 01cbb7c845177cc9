//! The pages are complete: `docs/config.md` lists each setting of the builders, its examples can be
//! parsed, and COMPATIBILITY lists each setting of Flask-Caching.

use std::collections::BTreeSet;

use fragcache_config::Config;

use crate::support::fixtures;

fn page(name: &str) -> String {
    std::fs::read_to_string(fixtures("..").join(name)).unwrap()
}

/// The settings on the page with their examples: rows that begin with `` | `name` | `example`
/// ``, in tables whose first column is `setting`, below a heading that names their table.
fn told() -> Vec<(String, String)> {
    let (mut table, mut settings) = (String::new(), Vec::new());
    let mut are_settings = false;
    for line in page("docs/config.md").lines() {
        if let Some(heading) = line.strip_prefix('#') {
            let name = heading.split_once("`[").and_then(|(_, rest)| rest.split_once("]`"));
            table = name.map(|(name, _)| format!("{name}.")).unwrap_or_default();
        }
        are_settings = line.starts_with("| setting |") || are_settings && line.starts_with('|');
        if !are_settings {
            continue;
        }
        if let Some((name, rest)) = line.strip_prefix("| `").and_then(|row| row.split_once("` | `"))
        {
            let (example, _) = rest.split_once('`').unwrap();
            settings.push((format!("{table}{name}"), example.to_owned()));
        }
    }
    settings
}

/// The names that the error for an unknown setting lists.
fn known(table: &str) -> BTreeSet<String> {
    let prefix = if table.is_empty() { String::new() } else { format!("{table}.") };
    let error = Config::from_toml(&format!("{prefix}zzzzzzzzzzzzzzzz = 1")).unwrap_err();
    let (_, names) = error.message().split_once("write one of ").unwrap();
    names.split(", ").map(|name| format!("{prefix}{name}")).collect()
}

#[test]
fn the_page_has_every_setting_and_no_other() {
    let told: BTreeSet<String> = told().into_iter().map(|(name, _)| name).collect();
    let tables = ["policy", "far", "redis", "file", "sqlite", "memcached"];
    let mut all: BTreeSet<String> = tables.iter().flat_map(|table| known(table)).collect();
    let top = known("").into_iter();
    all.extend(
        top.filter(|name| !tables.contains(&&**name) && !["store", "caches"].contains(&&**name)),
    );
    assert_eq!(told, all);
    assert!(all.len() > 35, "only {} settings", all.len());
}

#[test]
fn the_pages_examples_can_be_written() {
    for (name, example) in told() {
        if let Err(error) = Config::from_toml(&format!("{name} = {example}")) {
            panic!("{name} = {example}: {error}");
        }
    }
}

/// The methods that take a builder and return it.
fn methods(source: &str) -> Vec<String> {
    let text = page(source);
    let names = text.split("    pub fn ").skip(1).filter_map(|rest| {
        let (name, rest) = rest.split_once('(')?;
        rest.starts_with("mut self").then(|| name.split('<').next().unwrap_or(name).to_owned())
    });
    names.collect()
}

#[test]
fn every_builder_setting_can_be_configured() {
    // Values that only code can set, and methods that a table or a type stands for.
    let not_settings = ["clock", "observer", "far", "disabled"];
    let far = |name: &str| match name {
        "without_near" => "far.near".to_owned(),
        name => format!("far.{name}"),
    };
    let settings: BTreeSet<String> = told().into_iter().map(|(name, _)| name).collect();
    let builder = methods("core/src/cache/builder.rs");
    let policy = methods("core/src/policy.rs").into_iter().map(|name| format!("policy.{name}"));
    let level = methods("core/src/far/settings.rs");
    // For values that a file cannot contain, it has the setting of a file name.
    let redis = |name: &str| match name {
        "client_certificate_files" => Some("redis.client_key_file".to_owned()),
        "ca_pem" | "client_certificate_pem" => None,
        name => Some(format!("redis.{name}")),
    };
    let memcached = |name: &str| redis(name).map(|name| name.replacen("redis.", "memcached.", 1));
    let server = methods("stores/redis/src/options.rs");
    let servers = methods("stores/memcached/src/options.rs");
    let folder = methods("stores/file/src/options.rs");
    assert!(server.len() > 5 && servers.len() > 5 && folder.len() > 4, "{server:?} {folder:?}");
    let folder = folder.into_iter().filter(|name| name != "clock");
    assert!(builder.len() > 10 && level.len() > 5, "{builder:?} {level:?}");
    let wanted = builder
        .into_iter()
        .filter(|name| !not_settings.contains(&&**name) && name != "policy")
        .chain(policy)
        .chain(level.iter().map(|name| far(name)))
        .chain(server.iter().filter_map(|name| redis(name)))
        .chain(servers.iter().filter_map(|name| memcached(name)))
        .chain(folder.map(|name| format!("file.{name}")));
    for setting in wanted {
        assert!(settings.contains(&setting), "no setting for {setting}");
    }
}

#[test]
fn compatibility_has_a_row_for_every_setting_and_type_of_flask_caching() {
    let page = page("COMPATIBILITY.md");
    let (_, rows) = page.split_once("\n## Settings\n").unwrap();
    let (rows, _) = rows.split_once("\n## ").unwrap();
    let mut firsts = BTreeSet::new();
    for row in rows.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, names, status, told, _] = cells.as_slice() else { panic!("{row}") };
        let statuses = ["same", "fixed", "different", "not yet", "absent"];
        assert!(statuses.contains(status) && !told.is_empty(), "{row}");
        firsts.extend(names.split('`').skip(1).step_by(2));
    }
    let list = std::fs::read_to_string(fixtures("flask/settings.txt")).unwrap();
    let names: Vec<&str> = list.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(names.len() > 40, "only {} names", names.len());
    for name in names {
        assert!(firsts.contains(name), "no row for {name}");
    }
}

#[test]
fn every_name_of_flask_caching_has_advice() {
    let list = std::fs::read_to_string(fixtures("flask/settings.txt")).unwrap();
    let ours = ["null", "redis"];
    for name in list.lines().filter(|line| !line.starts_with('#') && !ours.contains(line)) {
        let error = match name.starts_with("CACHE_") {
            true => Config::from_toml(&format!("{name} = 1")).unwrap_err(),
            false => Config::from_toml(&format!("type = '{name}'")).unwrap().build().unwrap_err(),
        };
        let text = error.message();
        let told = text.contains("write") || text.contains("leave it out");
        assert!(told && !text.contains("did you mean") && !text.contains("write one of"), "{text}");
    }
}
