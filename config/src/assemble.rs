//! Turns settings into a builder: checks their combinations and applies each.

use std::path::Path;

use fragcache::{CacheBuilder, Error, FarLevel, Policy};

use super::explain::closest;
use super::flask;
use super::sections::{FarSettings, Layer, PolicySettings, Settings};
use super::stores::{OWN_TABLE, Stores};
use super::value::Secret;

/// The types that need no store.
const MEMORY: &str = "memory";
const NULL: &str = "null";

/// The types of this crate, whichever features are on.
const TYPES: [&str; 6] = [MEMORY, NULL, "redis", "file", "sqlite", "memcached"];

pub(super) fn builder(layer: &Layer, stores: &Stores) -> Result<CacheBuilder, Error> {
    let settings = &layer.settings;
    #[cfg(feature = "tracing")]
    for name in &layer.ignored {
        tracing::warn!(
            target: "fragcache",
            variable = name,
            "fragcache does not read the variables of Flask-Caching: set fragcache's own, and \
             unset this one"
        );
    }
    let kind = kind(layer, stores)?;
    check_tables(layer, kind, stores)?;
    check_bounds(layer)?;
    let mut builder = plain(settings);
    let (written, file) = (settings.opaque_keys.as_ref(), settings.opaque_keys_file.as_deref());
    if let Some(key) = secret(layer, "opaque_keys", written, file)? {
        builder = builder.opaque_keys(key);
    }
    if kind == NULL {
        builder = builder.disabled();
    } else if kind != MEMORY {
        let level = FarLevel::shared(stores.open(kind, layer)?);
        builder = builder.far(match &settings.far {
            Some(far) => far_level(layer, far, level)?,
            None => level,
        });
    }
    Ok(builder)
}

/// The type, checked to be known.
fn kind<'l>(layer: &'l Layer, stores: &Stores) -> Result<&'l str, Error> {
    if let Some(taken) = stores.own_names().find(|name| TYPES.contains(name)) {
        return Err(layer.places.refuse(
            "",
            format!(
                "a store of your own is called {taken:?}, which is reserved; write another name"
            ),
        ));
    }
    let Some(kind) = layer.settings.r#type.as_deref() else {
        return Err(layer.places.refuse(
            "",
            "type is missing, which in Flask-Caching means the null cache; write type = \"memory\" \
             to cache in this process, \"redis\", \"file\" or \"sqlite\" to share, or \"null\" \
             to cache nothing",
        ));
    };
    if [MEMORY, NULL].contains(&kind) || stores.table(kind).is_some() {
        return Ok(kind);
    }
    if TYPES.contains(&kind) {
        return Err(layer.places.refuse(
            "type",
            format!(
                "type = {kind:?} needs the feature `{kind}` of fragcache-config; add it to \
                 Cargo.toml"
            ),
        ));
    }
    let shown = shown_type(kind);
    let message = if flask::is_own_class(kind) {
        format!("type {shown} is a Python class; {}", flask::OWN)
    } else if let Some(advice) = flask::type_advice(kind) {
        format!("type {shown} is Flask-Caching's; {advice}")
    } else {
        let known = || TYPES.into_iter().chain(stores.own_names());
        match closest(kind, known()) {
            Some(near) => format!("unknown type {shown}; did you mean {near:?}?"),
            None => {
                let known: Vec<String> = known().map(|name| format!("{name:?}")).collect();
                format!(
                    "unknown type {shown}; write {}, or pass a store of that name to build_with",
                    known.join(", ")
                )
            }
        }
    };
    Err(layer.places.refuse("type", message))
}

/// The type as an error shows it. Text that is not a name may be a URL with a password, so it is
/// hidden.
fn shown_type(kind: &str) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    match kind.len() <= 80 && kind.chars().all(is_name) {
        true => format!("{kind:?}"),
        false => "(not shown)".to_owned(),
    }
}

/// Returns true if the entries of two caches would have the same names in one store.
pub(super) fn share_a_place(one: &Settings, other: &Settings) -> bool {
    let is_shared = |kind: &str| kind != MEMORY && kind != NULL;
    if one.r#type != other.r#type || !one.r#type.as_deref().is_some_and(is_shared) {
        return false;
    }
    let prefix = |settings: &Settings| {
        let own = settings.far.as_ref().and_then(|far| far.prefix.clone());
        own.unwrap_or_else(|| FarLevel::DEFAULT_PREFIX.to_owned())
    };
    let server = |settings: &Settings| {
        settings.redis.as_ref().map(|redis| (redis.url.clone(), redis.database))
    };
    let memcached =
        |settings: &Settings| settings.memcached.as_ref().map(|memcached| memcached.url.clone());
    let folder = |settings: &Settings| settings.file.as_ref().map(|file| file.dir.clone());
    let database = |settings: &Settings| settings.sqlite.as_ref().map(|it| it.path.clone());
    prefix(one) == prefix(other)
        && server(one) == server(other)
        && folder(one) == folder(other)
        && database(one) == database(other)
        && memcached(one) == memcached(other)
        && one.store == other.store
}

/// Checks that each table belongs to the type. The null cache accepts any table, so that changing
/// one word switches a cache off.
fn check_tables(layer: &Layer, kind: &str, stores: &Stores) -> Result<(), Error> {
    let settings = &layer.settings;
    let tables = [
        ("redis", settings.redis.is_some(), "type = \"redis\""),
        ("file", settings.file.is_some(), "type = \"file\""),
        ("sqlite", settings.sqlite.is_some(), "type = \"sqlite\""),
        ("memcached", settings.memcached.is_some(), "type = \"memcached\""),
        (OWN_TABLE, settings.store.is_some(), "the type of a store of your own"),
        ("far", settings.far.is_some(), "a shared type, such as \"redis\""),
    ];
    for (table, is_given, wanted) in tables {
        let fits = if table == "far" { kind != MEMORY } else { stores.table(kind) == Some(table) };
        if is_given && !fits && kind != NULL {
            return Err(layer.places.refuse(
                table,
                format!(
                    "the table [{table}] does not apply to type = {kind:?}; remove it, or write \
                     {wanted}"
                ),
            ));
        }
    }
    Ok(())
}

/// Refuses a bound of zero in words of the file; the builder checks all others.
fn check_bounds(layer: &Layer) -> Result<(), Error> {
    let Settings { max_bytes, max_entries, .. } = &layer.settings;
    let bounds = [
        ("max_bytes", max_bytes.is_some_and(|bytes| bytes.0 == 0)),
        ("max_entries", max_entries.is_some_and(|count| count.0 == 0)),
    ];
    for (setting, is_zero) in bounds {
        if is_zero {
            return Err(layer.places.refuse(
                setting,
                format!(
                    "{setting} is 0, and a near level of that size holds nothing; write type = \
                     \"null\" to store nothing"
                ),
            ));
        }
    }
    Ok(())
}

/// The settings that need no store.
fn plain(settings: &Settings) -> CacheBuilder {
    let mut builder = CacheBuilder::default();
    macro_rules! set {
        ($($setting:ident: |$value:ident| $argument:expr,)*) => {
            $(if let Some($value) = &settings.$setting {
                builder = builder.$setting($argument);
            })*
        };
    }
    set! {
        default_timeout: |ttl| ttl.0,
        max_bytes: |bytes| bytes.0,
        max_entries: |count| count.0,
        max_entry_bytes: |bytes| bytes.0,
        max_labels: |count| count.0,
        wait_limit: |span| span.0,
        stale_window: |span| span.0,
        refresh_backoff: |span| span.0,
        jitter: |share| *share,
        early_refresh: |beta| *beta,
        replica_lag: |span| span.0,
        stats_by_name: |count| count.0,
        policy: |settings| policy(settings),
    }
    builder
}

fn policy(settings: &PolicySettings) -> Policy {
    let mut policy = Policy::default();
    if let Some(mistake) = settings.bad_arguments {
        policy = policy.bad_arguments(mistake.into());
    }
    if let Some(yes) = settings.repeated_unnamed_is_error {
        policy = policy.repeated_unnamed_is_error(yes);
    }
    if let Some(yes) = settings.annotations {
        policy = policy.annotations(yes);
    }
    if let Some(yes) = settings.warnings_are_errors {
        policy = policy.warnings_are_errors(yes);
    }
    policy
}

fn far_level(layer: &Layer, far: &FarSettings, mut level: FarLevel) -> Result<FarLevel, Error> {
    if let Some(prefix) = &far.prefix {
        level = level.prefix(prefix);
    }
    match (far.near, far.near_ttl) {
        (Some(false), Some(_)) => {
            return Err(layer.places.refuse(
                "far.near",
                "near = false turns off the near level, but near_ttl is set for it; remove one of \
                 them",
            ));
        }
        (Some(false), None) => level = level.without_near(),
        (_, Some(ttl)) => level = level.near_ttl(ttl.0),
        (_, None) => {}
    }
    let key = ("far.mac_key", &far.mac_key, &far.mac_key_file);
    if let Some(key) = secret(layer, key.0, key.1.as_ref(), key.2.as_deref())? {
        level = level.mac_key(key);
    }
    if let Some(bytes) = far.compress_above {
        level = level.compress_above(bytes.0);
    }
    if let Some(ttl) = far.lease {
        level = level.lease(ttl.0);
    }
    if let Some(ttl) = far.max_ttl {
        level = level.max_ttl(ttl.0);
    }
    Ok(level)
}

/// A secret that is written in the config, or read from a file that may end with a newline.
pub(super) fn secret(
    layer: &Layer,
    setting: &str,
    written: Option<&Secret>,
    file: Option<&Path>,
) -> Result<Option<String>, Error> {
    let name = setting.rsplit('.').next().unwrap_or(setting);
    match (written, file) {
        (Some(_), Some(_)) => Err(layer
            .places
            .refuse(setting, format!("both {name} and {name}_file are set; remove one of them"))),
        (Some(secret), None) => Ok(Some(secret.0.clone())),
        (None, Some(path)) => {
            let place = format!("{setting}_file");
            let text = std::fs::read_to_string(path).map_err(|cause| {
                let message = format!(
                    "{name}_file {} cannot be read: {}; write the path of a text file",
                    path.display(),
                    cause.kind()
                );
                layer.places.refuse(&place, message).with_source(cause)
            })?;
            match text.trim_end_matches(['\r', '\n']) {
                "" => Err(layer.places.refuse(
                    &place,
                    format!("{name}_file {} is empty; write the secret into it", path.display()),
                )),
                secret => Ok(Some(secret.to_owned())),
            }
        }
        (None, None) => Ok(None),
    }
}
