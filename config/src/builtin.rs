//! Opens the stores of this crate's features by their tables.

#[cfg(any(feature = "redis", feature = "memcached"))]
use std::path::PathBuf;
use std::sync::Arc;

use fragcache::Error;
use fragcache::store::Store;

#[cfg(any(feature = "redis", feature = "memcached"))]
use super::places::Places;
use super::sections::Layer;

#[cfg(feature = "redis")]
pub(super) fn redis(layer: &Layer) -> Result<Arc<dyn Store>, Error> {
    use super::assemble::secret;
    use fragcache_redis::RedisOptions;

    let places = &layer.places;
    let settings = layer.settings.redis.clone().unwrap_or_default();
    let Some(url) = settings.url else {
        return Err(places.refuse(
            if layer.settings.redis.is_some() { "redis" } else { "type" },
            "type = \"redis\" needs a server; write url = \"redis://127.0.0.1:6379\" in the table \
             [redis]",
        ));
    };
    let password = (settings.password.as_ref(), settings.password_file.as_deref());
    let password = secret(layer, "redis.password", password.0, password.1)?;
    let of_sentinel =
        (settings.sentinel_password.as_ref(), settings.sentinel_password_file.as_deref());
    let of_sentinel = secret(layer, "redis.sentinel_password", of_sentinel.0, of_sentinel.1)?;

    let mut options = RedisOptions::new(url.0);
    if let Some(user) = settings.user {
        options = options.user(user);
    }
    if let Some(password) = password {
        options = options.password(password);
    }
    if let Some(name) = settings.sentinel_master {
        options = options.sentinel_master(name);
    }
    if let Some(user) = settings.sentinel_user {
        options = options.sentinel_user(user);
    }
    if let Some(password) = of_sentinel {
        options = options.sentinel_password(password);
    }
    if let Some(number) = settings.database {
        options = options.database(number);
    }
    if let Some(path) = settings.ca_file {
        options = options.ca_file(path);
    }
    let files = (settings.client_certificate_file, settings.client_key_file);
    if let Some((certificate, key)) = client_files(places, "redis", files)? {
        options = options.client_certificate_files(certificate, key);
    }
    if let Some(limit) = settings.operation_timeout {
        options = options.operation_timeout(limit.0);
    }
    if let Some(limit) = settings.connect_timeout {
        options = options.connect_timeout(limit.0);
    }
    if let Some(calls) = settings.queue_length {
        options = options.queue_length(calls.0);
    }
    if let Some(bytes) = settings.max_value_bytes {
        options = options.max_value_bytes(bytes.0);
    }
    match options.open() {
        Ok(store) => Ok(Arc::new(store)),
        Err(error) => Err(places.about(places.in_table("redis", &error), error)),
    }
}

#[cfg(all(feature = "file", unix))]
pub(super) fn file(layer: &Layer) -> Result<Arc<dyn Store>, Error> {
    use fragcache_file::FileStore;

    let places = &layer.places;
    let settings = layer.settings.file.clone().unwrap_or_default();
    let Some(dir) = settings.dir else {
        return Err(places.refuse(
            if layer.settings.file.is_some() { "file" } else { "type" },
            "type = \"file\" needs a folder; write dir = \"/var/cache/…\" in the table [file]",
        ));
    };
    let mut options = FileStore::options();
    if let Some(bytes) = settings.max_bytes {
        options = options.max_bytes(bytes.0 as u64);
    }
    if let Some(records) = settings.max_records {
        options = options.max_records(records.0 as u64);
    }
    if let Some(mode) = settings.mode {
        options = options.mode(mode.0);
    }
    if let Some(deadline) = settings.deadline {
        options = options.deadline(deadline.0);
    }
    if let Some(yes) = settings.durable {
        options = options.durable(yes);
    }
    match options.open(dir) {
        Ok(store) => Ok(Arc::new(store)),
        Err(error) => Err(places.about(places.in_table("file", &error), error)),
    }
}

#[cfg(all(feature = "sqlite", unix))]
pub(super) fn sqlite(layer: &Layer) -> Result<Arc<dyn Store>, Error> {
    use fragcache_sqlite::SqliteStore;

    let places = &layer.places;
    let settings = layer.settings.sqlite.clone().unwrap_or_default();
    let Some(path) = settings.path else {
        return Err(places.refuse(
            if layer.settings.sqlite.is_some() { "sqlite" } else { "type" },
            "type = \"sqlite\" needs a database; write path = \"/var/cache/….sqlite\" in the table \
             [sqlite]",
        ));
    };
    let mut options = SqliteStore::options();
    if let Some(bytes) = settings.max_bytes {
        options = options.max_bytes(bytes.0 as u64);
    }
    if let Some(deadline) = settings.deadline {
        options = options.deadline(deadline.0);
    }
    if let Some(readers) = settings.readers {
        options = options.readers(readers.0);
    }
    if let Some(yes) = settings.durable {
        options = options.durable(yes);
    }
    let store = match options.open(path) {
        Ok(store) => store,
        Err(error) => return Err(places.about(places.in_table("sqlite", &error), error)),
    };
    #[cfg(feature = "tracing")]
    if let Some(why) = store.started_empty() {
        tracing::warn!(target: "fragcache", "{why}");
    }
    Ok(Arc::new(store))
}

#[cfg(feature = "memcached")]
pub(super) fn memcached(layer: &Layer) -> Result<Arc<dyn Store>, Error> {
    use super::assemble::secret;
    use fragcache_memcached::MemcachedOptions;

    let places = &layer.places;
    let settings = layer.settings.memcached.clone().unwrap_or_default();
    let Some(url) = settings.url else {
        return Err(places.refuse(
            if layer.settings.memcached.is_some() { "memcached" } else { "type" },
            "type = \"memcached\" needs a server; write url = \"memcached://127.0.0.1:11211\" in \
             the table [memcached]",
        ));
    };
    let password = (settings.password.as_ref(), settings.password_file.as_deref());
    let password = secret(layer, "memcached.password", password.0, password.1)?;

    let mut options = MemcachedOptions::new(url.0);
    if let Some(user) = settings.user {
        options = options.user(user);
    }
    if let Some(password) = password {
        options = options.password(password);
    }
    if let Some(path) = settings.ca_file {
        options = options.ca_file(path);
    }
    let files = (settings.client_certificate_file, settings.client_key_file);
    if let Some((certificate, key)) = client_files(places, "memcached", files)? {
        options = options.client_certificate_files(certificate, key);
    }
    if let Some(limit) = settings.operation_timeout {
        options = options.operation_timeout(limit.0);
    }
    if let Some(limit) = settings.connect_timeout {
        options = options.connect_timeout(limit.0);
    }
    if let Some(connections) = settings.connections {
        options = options.connections(connections.0);
    }
    if let Some(bytes) = settings.max_value_bytes {
        options = options.max_value_bytes(bytes.0);
    }
    match options.open() {
        Ok(store) => Ok(Arc::new(store)),
        Err(error) => Err(places.about(places.in_table("memcached", &error), error)),
    }
}

/// The files of a client certificate and its key: both or none.
#[cfg(any(feature = "redis", feature = "memcached"))]
fn client_files(
    places: &Places,
    table: &str,
    files: (Option<PathBuf>, Option<PathBuf>),
) -> Result<Option<(PathBuf, PathBuf)>, Error> {
    let (there, missing) = match files {
        (Some(certificate), Some(key)) => return Ok(Some((certificate, key))),
        (None, None) => return Ok(None),
        (Some(_), None) => ("client_certificate_file", "client_key_file"),
        (None, Some(_)) => ("client_key_file", "client_certificate_file"),
    };
    let message = format!("{there} is set without {missing}; write both");
    Err(places.refuse(&format!("{table}.{there}"), message))
}
