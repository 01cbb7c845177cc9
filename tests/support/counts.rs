//! Evaluation counts of bodies, counted by `{{ tick(name="…") }}` in them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

/// Called inside the first tick of a render.
type During = Box<dyn FnOnce() + Send>;

/// The counter behind the `tick` function of an engine and its clones.
#[derive(Clone, Default)]
pub(crate) struct Counts(Arc<Inner>);

#[derive(Default)]
struct Inner {
    ticks: Mutex<BTreeMap<String, u64>>,
    during: Mutex<Option<During>>,
}

/// Tick counts by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Evaluated(pub(crate) BTreeMap<String, u64>);

impl Counts {
    pub(crate) fn tick(&self, name: &str) {
        *self.0.ticks.lock().unwrap().entry(name.to_owned()).or_default() += 1;
        let during = self.0.during.lock().unwrap().take();
        if let Some(during) = during {
            during();
        }
    }

    /// Takes the counts since the last call.
    pub(crate) fn take(&self) -> Evaluated {
        Evaluated(std::mem::take(&mut *self.0.ticks.lock().unwrap()))
    }

    /// Sets a closure for the next tick to run.
    pub(crate) fn during(&self, what: impl FnOnce() + Send + 'static) {
        *self.0.during.lock().unwrap() = Some(Box::new(what));
    }
}

impl Evaluated {
    pub(crate) fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Evaluated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("nothing");
        }
        for (index, (name, times)) in self.0.iter().enumerate() {
            let space = if index > 0 { " " } else { "" };
            match times {
                1 => write!(f, "{space}{name}")?,
                _ => write!(f, "{space}{name}×{times}")?,
            }
        }
        Ok(())
    }
}
