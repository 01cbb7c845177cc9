//! Every program runs, and checks its own claims.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails may panic")]

use std::process::Command;

use fragcache_servers::{Flavour, RedisServer};

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} failed: {error}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn minijinja_hello() {
    let shown = run(env!("CARGO_BIN_EXE_minijinja-hello"), &[]);
    assert!(shown.contains("Ada has 3 unread") && shown.contains("Ada has 4 unread"), "{shown}");
}

#[test]
fn tera_hello() {
    let shown = run(env!("CARGO_BIN_EXE_tera-hello"), &[]);
    assert!(shown.contains("Ada has 3 unread") && shown.contains("Ada has 4 unread"), "{shown}");
}

#[test]
fn handlebars_cache() {
    let shown = run(env!("CARGO_BIN_EXE_handlebars-cache"), &[]);
    assert!(shown.contains("Ada &amp; Co got 8 messages") && shown.contains("<i>2</i>"), "{shown}");
}

#[test]
fn rust_only() {
    let shown = run(env!("CARGO_BIN_EXE_rust-only"), &[]);
    assert!(shown.contains("rendered 6 pieces for 3 lists"), "{shown}");
}

#[test]
fn static_site() {
    let folder = tempfile::tempdir().unwrap();
    run(env!("CARGO_BIN_EXE_static-site"), &[folder.path().to_str().unwrap()]);
    let page = std::fs::read_to_string(folder.path().join("4.html")).unwrap();
    assert!(page.contains("<h1>Dancer in the Dark</h1>") && page.contains("<nav>"), "{page}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 514);
}

#[test]
fn the_shop_measures_both_engines() {
    let shown = run(env!("CARGO_BIN_EXE_shop"), &[]);
    assert_eq!(shown.matches("Every page equals, byte for byte").count(), 2, "{shown}");
    // After the price change: the same fragments in both engines.
    let again =
        ["grid in home.html", "product(42) in product.html", "search(telets) in search.html"];
    for fragment in again {
        assert_eq!(shown.matches(&format!("rendered again: {fragment}")).count(), 2, "{shown}");
    }
    assert_eq!(shown.matches("rendered again").count(), 8, "{shown}");
    assert_eq!(shown.matches("tag_invalidated product:42").count(), 6, "{shown}");
    assert_eq!(shown.matches("films.json, the response deleted").count(), 2, "{shown}");
}

/// Measures in this process, and in another one that finds the entries stored by this one.
#[test]
fn the_shop_measures_each_store() {
    let server = RedisServer::start(Flavour::Redis);
    let folder = tempfile::tempdir().unwrap();
    let files = format!("file:{}", folder.path().join("fragments").display());
    for (store, name) in [(server.url(), "redis"), (files, "file")] {
        let shown = run(env!("CARGO_BIN_EXE_shop"), &["--store", &store, "--engine", "tera"]);
        assert!(shown.contains(&format!("Tera, in a store: {name}")), "{shown}");
        assert!(shown.contains("home, in another process, cold"), "{shown}");
        assert!(shown.contains("Every page equals, byte for byte"), "{shown}");
    }
    let shown = run(env!("CARGO_BIN_EXE_shop"), &["--store", "memory", "--engine", "tera"]);
    assert!(!shown.contains("another process"), "{shown}");
}

#[test]
fn the_shop_prints_its_options() {
    let shown = run(env!("CARGO_BIN_EXE_shop"), &["--help"]);
    for option in ["--engine", "--serve", "--database", "--store", "--near-ttl", "--config"] {
        assert!(shown.lines().any(|line| line.starts_with(option)), "{option}: {shown}");
    }
}

#[test]
fn the_shop_names_unknown_options() {
    let shop = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_shop")).args(args).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(shop(&["--engine", "askama"]).contains("write minijinja or tera"));
    assert!(shop(&["--serve", "here"]).contains("is not an address"));
    assert!(shop(&["--sreve"]).contains("usage: shop"));
    assert!(shop(&["--store"]).contains("--store of what?"));
    let told = shop(&["--store", "reddis://me:secret@cache"]);
    assert!(told.contains("redis://127.0.0.1:6379") && !told.contains("secret"), "{told}");
    let told = shop(&["--store", "redis://me:secret@cache:port"]);
    assert!(told.contains("does not parse") && !told.contains("secret"), "{told}");
    assert!(shop(&["--near-ttl", "2s"]).contains("write --store"));
    let told = shop(&["--store", "redis://127.0.0.1:1", "--near-ttl", "soon"]);
    assert!(told.contains("--near-ttl") && told.contains("not a duration"), "{told}");
    assert!(shop(&["--store", "file:/dev/null"]).contains("is a file"));
    let told = shop(&["--store", "redis://127.0.0.1:1"]);
    assert!(told.contains("nothing to measure without the store"), "{told}");
    assert!(shop(&["--config", "cache.toml"]).contains("cache.toml cannot be read"));
    let told = shop(&["--serve", "--database", file!()]);
    assert!(told.contains("cannot open the shop's database"), "{told}");
}
