//! The format of `calls.json`; its README documents the fields.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::support::fixtures;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    #[allow(dead_code, reason = "for reading")]
    recorded_with: BTreeMap<String, String>,
    cases: Vec<Case>,
}

/// All cases.
pub(super) fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(fixtures("flask/calls.json")).unwrap();
    serde_json::from_str::<Recorded>(&text).unwrap().cases
}

#[derive(Debug, Deserialize)]
pub(super) struct Case {
    pub(super) id: String,
    pub(super) defect: bool,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(super) enum Step {
    Request {
        #[serde(flatten)]
        asked: Asked,
        #[serde(flatten)]
        told: Recording,
    },
    Call {
        call: String,
        /// The path of the request during which the call is made. It makes no difference here.
        #[allow(dead_code, reason = "for reading")]
        during: Option<String>,
        #[serde(flatten)]
        told: Recording,
    },
    Concurrently {
        #[serde(flatten)]
        asked: Asked,
        callers: usize,
        #[serde(flatten)]
        told: Recording,
    },
    Advance {
        seconds: f64,
    },
    Act {
        what: String,
    },
}

impl Step {
    pub(super) fn recording(&self) -> Option<&Recording> {
        match self {
            Self::Request { told, .. }
            | Self::Call { told, .. }
            | Self::Concurrently { told, .. } => Some(told),
            Self::Advance { .. } | Self::Act { .. } => None,
        }
    }
}

/// A request, as the test client sent it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// A form, or a text.
    #[serde(default)]
    pub(super) data: Json,
    #[serde(default)]
    pub(super) json: Json,
    pub(super) content_type: Option<String>,
    pub(super) base_url: Option<String>,
}

/// The recorded result, and the one that the documentation leads to expect.
#[derive(Debug, Deserialize)]
pub(super) struct Recording {
    flask: serde_json::Map<String, Json>,
    #[serde(default)]
    claimed: serde_json::Map<String, Json>,
}

impl Recording {
    /// The expected result of this step: the recorded one or, if `as_claimed`, the documented one.
    pub(super) fn expected(&self, as_claimed: bool) -> serde_json::Map<String, Json> {
        let mut expected = self.flask.clone();
        if as_claimed {
            if self.claimed.contains_key("returned") {
                expected.remove("raised");
            }
            expected.extend(self.claimed.clone());
        }
        // Fields for readers only, and those that a caller does not see.
        for field in ["keys", "message", "errors_logged"] {
            expected.remove(field);
        }
        expected
    }
}
