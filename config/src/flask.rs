//! The names of Flask-Caching's settings and types, and what to write here instead.

/// Flask-Caching's settings without `CACHE_`, and what to write here.
const SETTINGS: [(&str, &str); 28] = [
    ("type", "write type above all tables"),
    ("default_timeout", "write default_timeout"),
    ("threshold", "write max_entries, or max_bytes"),
    ("key_prefix", "write prefix in the table [far]"),
    ("dir", "write dir in the table [file]"),
    ("redis_url", "write url in the table [redis]"),
    ("redis_host", "write url = \"redis://host:port\" in the table [redis]"),
    ("redis_port", "write url = \"redis://host:port\" in the table [redis]"),
    ("redis_password", "write password or password_file in the table [redis]"),
    ("redis_db", "write database in the table [redis]"),
    ("args", "write the settings of a store of your own in the table [store]"),
    ("options", "write the settings of a store in its table: [redis], [file] or [store]"),
    ("no_null_warning", "write type = \"null\", which logs no warning"),
    ("ignore_errors", "leave it out: a store fault never fails a page"),
    ("source_check", "leave it out: the digest of a block's source is compared on every hit"),
    ("serializer", "leave it out: nothing is deserialised into code"),
    ("hash_method", "leave it out: the whole key is compared on every hit"),
    ("file_hash_method", "leave it out: the whole key is compared on every hit"),
    ("enable_signals", "leave it out, and give an observer to the builder"),
    ("redis_sentinels", SENTINEL),
    ("redis_sentinel_master", "write sentinel_master in the table [redis]"),
    (
        "redis_sentinel_password",
        "write sentinel_password or sentinel_password_file in the table [redis]",
    ),
    ("redis_cluster", CLUSTER),
    (
        "memcached_servers",
        "write url = \"memcached://host:port,host2:port\" in the table [memcached]",
    ),
    ("memcached_username", "write user in the table [memcached]"),
    ("memcached_password", "write password or password_file in the table [memcached]"),
    ("uwsgi_name", NO_UWSGI),
    ("gcs_bucket", NO_BUCKET),
];

/// The packages whose classes are named in [`TYPES`].
const PACKAGES: [&str; 4] = ["flask_caching", "flask_cache", "cachelib", "werkzeug"];

/// The advice for a class of the application's own.
pub(super) const OWN: &str = "implement Store instead of writing a class: name it with \
                              Stores::with, build with build_with, and write that name";
const SENTINEL: &str = "write type = \"redis\", and url = \
                        \"redis-sentinel://host:26379,host:26379/0?master=name\" in the table \
                        [redis]";
const CLUSTER: &str = "write type = \"redis\", and url = \"redis-cluster://host:6379,host:6379\" in \
                       the table [redis]";
const NO_SASL: &str = "Memcached's SASL (-S) is not supported: write \"memcached\", with user and \
                       password in the table [memcached], and start the servers with a list of \
                       users (-Y)";
const NO_UWSGI: &str = "uWSGI's cache belongs to a Python server: write type = \"memory\" for one \
                        process, \"file\" for one host or \"redis\"";
const NO_BUCKET: &str = "there is no store for buckets: write type = \"redis\" or \"file\", or a \
                         store of your own";

/// Flask-Caching's types in lower case, with the names used before 1.9.1.
const TYPES: [(&[&str], &str); 10] = [
    (&["nullcache"], "write \"null\""),
    (&["simplecache", "simple"], "write \"memory\""),
    (&["filesystemcache", "filesystem"], "write \"file\""),
    (&["rediscache"], "write \"redis\""),
    (&["memcachedcache", "memcached", "gaememcached"], "write \"memcached\""),
    (&["redissentinelcache", "redissentinel"], SENTINEL),
    (&["redisclustercache", "rediscluster"], CLUSTER),
    (
        &["saslmemcachedcache", "saslmemcached", "spreadsaslmemcachedcache", "spreadsaslmemcached"],
        NO_SASL,
    ),
    (&["uwsgicache", "uwsgi"], NO_UWSGI),
    (&["googlecloudstoragecache"], NO_BUCKET),
];

/// The advice for a setting that is unknown in `table`.
pub(super) fn advice(table: &str, name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let bare = name.strip_prefix("cache_").unwrap_or(&name);
    // For example `host` in the table `[redis]`.
    let within = format!("{table}_{bare}");
    let found = SETTINGS.iter().find(|(known, _)| *known == bare || *known == within);
    found.map(|(_, advice)| *advice)
}

/// The advice for one of Flask-Caching's types, also for an import path.
pub(super) fn type_advice(name: &str) -> Option<&'static str> {
    let class = name.rsplit('.').next().unwrap_or(name).to_lowercase();
    TYPES.iter().find(|(names, _)| names.contains(&&*class)).map(|(_, advice)| *advice)
}

/// Returns true if this is the import path of a class of the application's own.
pub(super) fn is_own_class(name: &str) -> bool {
    let is_word = |word: &str| {
        !word.starts_with(|c: char| c.is_ascii_digit())
            && !word.is_empty()
            && word.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    let Some((package, _)) = name.split_once('.') else { return false };
    name.split('.').all(is_word) && !PACKAGES.contains(&package)
}

/// Returns true if Flask-Caching reads a variable of this name.
pub(super) fn is_setting(variable: &str) -> bool {
    let bare = variable.strip_prefix("CACHE_").map(str::to_lowercase);
    bare.is_some_and(|bare| SETTINGS.iter().any(|(known, _)| *known == bare))
}
