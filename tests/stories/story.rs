//! The file format of a story.

use std::collections::BTreeMap;
use std::time::Duration;

use fragcache::CacheBuilder;
use serde::Deserialize;
use serde_json::Value as Json;

use crate::support::{Kind, Settings};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Story {
    /// The subject, in one sentence.
    pub(super) about: String,
    /// The engines whose syntax it uses; both by default.
    engines: Option<Vec<Kind>>,
    /// Why its renders are not compared with the native form, where product rules differ from it.
    pub(super) differs: Option<String>,
    #[serde(default)]
    pub(super) settings: Settings,
    #[serde(default)]
    pub(super) cache: CacheSettings,
    /// Further caches by name, on the same clock.
    #[serde(default)]
    pub(super) caches: BTreeMap<String, CacheSettings>,
    #[serde(default)]
    pub(super) templates: BTreeMap<String, String>,
    pub(super) steps: Vec<Step>,
}

impl Story {
    pub(super) fn engines(&self) -> Vec<Kind> {
        self.engines.clone().unwrap_or_else(|| Kind::BOTH.to_vec())
    }

    /// Checks that the story renders something and has a subject.
    pub(super) fn check(&self) {
        assert!(self.about.ends_with('.'), "`about` is no sentence");
        assert!(
            self.steps.iter().any(|step| matches!(step, Step::Render { .. } | Step::String { .. }))
        );
        assert!(!self.engines().is_empty());
    }
}

/// One step.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Step {
    Render {
        render: String,
        #[serde(default = "empty")]
        with: Json,
        /// The name of a read point whose token is in the context.
        token: Option<String>,
        /// The name of a read point whose scope encloses the render.
        scope: Option<String>,
        /// Steps of another thread at the first tick of this render.
        #[serde(default)]
        meanwhile: Vec<Step>,
    },
    String {
        string: String,
        #[serde(default = "empty")]
        with: Json,
    },
    /// A deletion or invalidation.
    Act(Act),
    /// Deletions and invalidations in a batch, which is applied or dropped.
    Batch {
        batch: Vec<Act>,
        apply: bool,
    },
    Advance {
        advance: f64,
    },
    CacheMode {
        mode: String,
    },
    Edit {
        edit: String,
        source: String,
    },
    Get {
        get: Vec<String>,
    },
    /// Takes a read point of this name.
    Begin {
        begin: String,
    },
    /// The following steps are in this namespace: `eu/de` is `de` in `eu`, an empty text is none.
    Within {
        within: String,
    },
    /// The following Rust calls use the cache of this name.
    Using {
        using: String,
    },
}

/// One deletion or invalidation.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Act {
    Delete { delete: Vec<String> },
    DeleteAt { delete_at: (String, u32, u32) },
    DeleteName { delete_name: String },
    DeleteTemplate { delete_template: String },
    Invalidate { invalidate: Vec<String> },
    Clear { clear: bool },
}

/// Settings of a story's cache, in seconds. Missing ones have their defaults.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CacheSettings {
    stale: Option<f64>,
    backoff: Option<f64>,
    lag: Option<f64>,
}

impl CacheSettings {
    pub(super) fn apply(&self, mut builder: CacheBuilder) -> CacheBuilder {
        let seconds = |number: Option<f64>| number.map(Duration::from_secs_f64);
        if let Some(window) = seconds(self.stale) {
            builder = builder.stale_window(window);
        }
        if let Some(rest) = seconds(self.backoff) {
            builder = builder.refresh_backoff(rest);
        }
        if let Some(lag) = seconds(self.lag) {
            builder = builder.replica_lag(lag);
        }
        builder
    }
}

fn empty() -> Json {
    Json::Object(serde_json::Map::new())
}
