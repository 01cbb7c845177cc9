//! The settings by table, and how one layer overrides another. `assemble.rs` applies them.

use std::path::PathBuf;

use serde::Deserialize;

use super::places::Places;
use super::several::Named;
use super::stores::StoreSettings;
use super::value::{Above, Bytes, Count, Life, Mistake, Permissions, Seconds, Secret};

/// Declares a table of optional settings and nested tables.
macro_rules! settings {
    (
        $(#[$meta:meta])*
        $name:ident { $($setting:ident: $kind:ty,)* }
        $(tables { $($table:ident: $inner:ty,)* })?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Deserialize)]
        #[serde(default, deny_unknown_fields, expecting = "a table of settings")]
        pub(super) struct $name {
            $(pub(super) $setting: Option<$kind>,)*
            $($(pub(super) $table: Option<$inner>,)*)?
        }

        impl $name {
            /// The names allowed in this table.
            pub(super) const NAMES: &[&str] =
                &[$(stringify!($setting),)* $($(stringify!($table),)*)?];

            /// Overrides these settings with those that `over` has.
            pub(super) fn merge(&mut self, over: Self) {
                $(if over.$setting.is_some() {
                    self.$setting = over.$setting;
                })*
                $($(if let Some(table) = over.$table {
                    self.$table.get_or_insert_default().merge(table);
                })*)?
            }
        }
    };
}

settings! {
    Settings {
        r#type: String,
        default_timeout: Life,
        max_bytes: Bytes,
        max_entries: Count,
        max_entry_bytes: Bytes,
        max_labels: Count,
        wait_limit: Seconds,
        stale_window: Seconds,
        refresh_backoff: Seconds,
        jitter: f64,
        early_refresh: f64,
        replica_lag: Seconds,
        stats_by_name: Count,
        opaque_keys: Secret,
        opaque_keys_file: PathBuf,
    }
    tables {
        policy: PolicySettings,
        far: FarSettings,
        redis: RedisSettings,
        file: FileSettings,
        sqlite: SqliteSettings,
        memcached: MemcachedSettings,
        store: StoreSettings,
        caches: Named,
    }
}

settings! {
    PolicySettings {
        bad_arguments: Mistake,
        repeated_unnamed_is_error: bool,
        annotations: bool,
        warnings_are_errors: bool,
    }
}

settings! {
    FarSettings {
        prefix: String,
        near: bool,
        near_ttl: Seconds,
        mac_key: Secret,
        mac_key_file: PathBuf,
        compress_above: Above,
        lease: Seconds,
        max_ttl: Seconds,
    }
}

settings! {
    RedisSettings {
        url: Secret,
        user: String,
        password: Secret,
        password_file: PathBuf,
        sentinel_master: String,
        sentinel_user: String,
        sentinel_password: Secret,
        sentinel_password_file: PathBuf,
        database: u32,
        ca_file: PathBuf,
        client_certificate_file: PathBuf,
        client_key_file: PathBuf,
        operation_timeout: Seconds,
        connect_timeout: Seconds,
        queue_length: Count,
        max_value_bytes: Bytes,
    }
}

settings! {
    MemcachedSettings {
        url: Secret,
        user: String,
        password: Secret,
        password_file: PathBuf,
        ca_file: PathBuf,
        client_certificate_file: PathBuf,
        client_key_file: PathBuf,
        operation_timeout: Seconds,
        connect_timeout: Seconds,
        connections: Count,
        max_value_bytes: Bytes,
    }
}

settings! {
    FileSettings {
        dir: PathBuf,
        max_bytes: Bytes,
        max_records: Count,
        mode: Permissions,
        deadline: Seconds,
        durable: bool,
    }
}

settings! {
    SqliteSettings {
        path: PathBuf,
        max_bytes: Bytes,
        deadline: Seconds,
        readers: Count,
        durable: bool,
    }
}

/// The names allowed in each table; the first is the top level.
pub(super) const TABLES: [(&str, &[&str]); 7] = [
    ("", Settings::NAMES),
    ("policy", PolicySettings::NAMES),
    ("far", FarSettings::NAMES),
    ("redis", RedisSettings::NAMES),
    ("file", FileSettings::NAMES),
    ("sqlite", SqliteSettings::NAMES),
    ("memcached", MemcachedSettings::NAMES),
];

impl Settings {
    /// Overrides these settings with those that `over` has, and drops what becomes meaningless: the
    /// alternative to a setting, and the tables of another type.
    pub(super) fn overlay(&mut self, mut over: Self) {
        if let Some(over) = over.caches.take() {
            self.caches.get_or_insert_default().overlay(over);
        }
        if let Some(chosen) =
            over.r#type.as_deref().filter(|new| self.r#type.as_deref() != Some(new))
        {
            self.redis = None;
            self.file = None;
            self.sqlite = None;
            self.memcached = None;
            self.store = None;
            if matches!(chosen, "memory" | "null") {
                self.far = None;
            }
        }
        let (new, file) = (&over.opaque_keys, &over.opaque_keys_file);
        replace_either(&mut self.opaque_keys, &mut self.opaque_keys_file, new, file);
        if let (Some(far), Some(over)) = (&mut self.far, &over.far) {
            replace_either(&mut far.near, &mut far.near_ttl, &over.near, &over.near_ttl);
            replace_either(
                &mut far.mac_key,
                &mut far.mac_key_file,
                &over.mac_key,
                &over.mac_key_file,
            );
        }
        if let (Some(redis), Some(over)) = (&mut self.redis, &over.redis) {
            let (new, file) = (&over.password, &over.password_file);
            replace_either(&mut redis.password, &mut redis.password_file, new, file);
            let (new, file) = (&over.sentinel_password, &over.sentinel_password_file);
            replace_either(
                &mut redis.sentinel_password,
                &mut redis.sentinel_password_file,
                new,
                file,
            );
        }
        if let (Some(memcached), Some(over)) = (&mut self.memcached, &over.memcached) {
            let (new, file) = (&over.password, &over.password_file);
            replace_either(&mut memcached.password, &mut memcached.password_file, new, file);
        }
        self.merge(over);
    }
}

/// Two alternative settings: if the upper layer has either one, it replaces both.
fn replace_either<A, B>(
    one: &mut Option<A>,
    other: &mut Option<B>,
    one_above: &Option<A>,
    other_above: &Option<B>,
) {
    if one_above.is_some() || other_above.is_some() {
        *one = None;
        *other = None;
    }
}

/// Settings, and where each was read.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    pub(super) settings: Settings,
    pub(super) places: Places,
    /// Variables that Flask-Caching reads and this crate ignores.
    pub(super) ignored: Vec<String>,
}
