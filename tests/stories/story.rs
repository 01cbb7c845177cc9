//! The file format of a story.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::support::{Kind, Settings};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Story {
    /// What it shows, in one sentence.
    pub(super) about: String,
    /// The engines whose syntax it is in; both if not given.
    engines: Option<Vec<Kind>>,
    /// Why its renders are not compared with the native form, where product rules differ from it.
    pub(super) differs: Option<String>,
    #[serde(default)]
    pub(super) settings: Settings,
    #[serde(default)]
    pub(super) templates: BTreeMap<String, String>,
    pub(super) steps: Vec<Step>,
}

impl Story {
    pub(super) fn engines(&self) -> Vec<Kind> {
        self.engines.clone().unwrap_or_else(|| Kind::BOTH.to_vec())
    }

    /// Every story renders something, and says what it shows.
    pub(super) fn check(&self) {
        assert!(self.about.ends_with('.'), "`about` is no sentence");
        assert!(
            self.steps.iter().any(|step| matches!(step, Step::Render { .. } | Step::String { .. }))
        );
        assert!(!self.engines().is_empty());
    }
}

/// One thing that happens.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Step {
    Render {
        render: String,
        #[serde(default = "empty")]
        with: Json,
    },
    String {
        string: String,
        #[serde(default = "empty")]
        with: Json,
    },
    Advance {
        advance: f64,
    },
    Delete {
        delete: Vec<String>,
    },
    DeleteAt {
        delete_at: (String, u32, u32),
    },
    DeleteName {
        delete_name: String,
    },
    DeleteTemplate {
        delete_template: String,
    },
    Clear {
        clear: bool,
    },
    Mode {
        mode: String,
    },
    Edit {
        edit: String,
        source: String,
    },
    Get {
        get: Vec<String>,
    },
}

fn empty() -> Json {
    Json::Object(serde_json::Map::new())
}
