//! The Rust examples of the Markdown pages as documentation tests:
//! `cargo test -p fragcache-examples --doc`. `tests/docs.rs` reads their templates.

macro_rules! pages {
    ($($name:ident: $page:literal,)*) => {
        $(
            #[doc = include_str!($page)]
            mod $name {}
        )*
    };
}

pages! {
    readme: "../README.md",
    cli: "../docs/cli.md",
    config: "../docs/config.md",
    deleting: "../docs/deleting.md",
    engines: "../docs/engines.md",
    files: "../docs/files.md",
    functions: "../docs/functions.md",
    glossary: "../docs/glossary.md",
    inspector: "../docs/inspector.md",
    keys: "../docs/keys.md",
    memcached: "../docs/memcached.md",
    nesting: "../docs/nesting.md",
    observing: "../docs/observing.md",
    operation: "../docs/operation.md",
    own_store: "../docs/own-store.md",
    read_points: "../docs/read-points.md",
    redis: "../docs/redis.md",
    rust: "../docs/rust.md",
    several_caches: "../docs/several-caches.md",
    sqlite: "../docs/sqlite.md",
    stale_windows: "../docs/stale-windows.md",
    stores: "../docs/stores.md",
    strategies: "../docs/strategies.md",
    tags: "../docs/tags.md",
    templates: "../docs/templates.md",
    testing: "../docs/testing.md",
    values: "../docs/values.md",
    views: "../docs/views.md",
}
