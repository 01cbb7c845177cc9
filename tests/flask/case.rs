//! The format of `recordings.json`; its README documents the fields.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::support::{Kind, Settings};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recordings {
    #[allow(dead_code, reason = "for reading")]
    recorded_with: BTreeMap<String, String>,
    pub(super) cases: Vec<Case>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Same,
    Fixed,
    Different,
}

impl Status {
    /// The word in COMPATIBILITY.md.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Fixed => "fixed",
            Self::Different => "different",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) status: Status,
    #[allow(dead_code, reason = "for reading")]
    summary: String,
    pub(super) instead: Option<String>,
    pub(super) engines: Vec<Kind>,
    #[serde(default)]
    pub(super) syntax: Settings,
    /// Settings of the recorded cache. Ours counts bytes, and uses its defaults.
    #[allow(dead_code, reason = "for reading")]
    config: Option<Json>,
    pub(super) templates: BTreeMap<String, String>,
    pub(super) steps: Vec<Step>,
}

impl Case {
    pub(super) fn renders(&self) -> impl Iterator<Item = &Render> {
        self.steps.iter().filter_map(|step| match step {
            Step::Render { render, .. }
            | Step::RenderStr { render, .. }
            | Step::RenderConcurrently { render, .. } => Some(render),
            _ => None,
        })
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(super) enum Step {
    Render {
        template: String,
        during: Option<Box<Step>>,
        #[serde(flatten)]
        render: Render,
    },
    RenderStr {
        source: String,
        #[serde(flatten)]
        render: Render,
    },
    RenderConcurrently {
        template: String,
        callers: usize,
        #[serde(flatten)]
        render: Render,
    },
    Delete {
        name: String,
        vary_on: Vec<String>,
    },
    DeleteAt {
        template: String,
        line: u32,
    },
    Clear,
    Advance {
        seconds: f64,
    },
    Edit {
        template: String,
        source: String,
    },
    BreakStore {
        #[allow(dead_code, reason = "no such store yet")]
        operation: String,
    },
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Render {
    pub(super) context: Json,
    flask: Outcome,
    pub(super) fragcache: Option<Outcome>,
}

impl Render {
    /// The expected result of fragcache.
    pub(super) fn expected(&self) -> &Outcome {
        self.fragcache.as_ref().unwrap_or(&self.flask)
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Outcome {
    pub(super) output: Option<String>,
    pub(super) error: Option<String>,
    pub(super) evaluated: Option<BTreeMap<String, u64>>,
    #[allow(dead_code, reason = "for reading")]
    message: Option<String>,
    #[allow(dead_code, reason = "for reading")]
    keys: Option<Vec<String>>,
}
