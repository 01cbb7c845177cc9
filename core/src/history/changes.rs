//! The invalidations of a history, single and in batches.

use std::time::Duration;

use super::History;
use super::api::{NAME, TAG, TEMPLATE};
use super::truth::{LabelSet, NAMES, PARTS, TAGS, TEMPLATES};
use crate::{FragmentCache, InvalidationBatch, fragment_key};

/// A batch that is not applied yet, with the labels it will invalidate.
pub(super) struct Collected {
    batch: InvalidationBatch,
    namespace: usize,
    covered: LabelSet,
    lag: Option<u64>,
}

/// One invalidation.
#[derive(Debug, Clone, Copy)]
enum Act {
    Clear,
    Name(usize),
    Template(usize),
    Tags(usize, usize),
    Parts(usize),
    Key(usize, usize),
}

impl Act {
    fn covers(self, namespace: usize) -> LabelSet {
        match self {
            // The root contains the namespace.
            Self::Clear if namespace == 0 => LabelSet::all(0).with(LabelSet::all(1)),
            Self::Clear => LabelSet::all(namespace),
            Self::Name(name) => LabelSet::name(namespace, name),
            Self::Template(template) => LabelSet::template(namespace, template),
            Self::Tags(one, other) => {
                LabelSet::tag(namespace, one).with(LabelSet::tag(namespace, other))
            }
            Self::Parts(name) => {
                let part = |part| LabelSet::key(namespace, name, part);
                part(0).with(part(1))
            }
            Self::Key(name, part) => LabelSet::key(namespace, name, part),
        }
    }

    fn apply(self, cache: &FragmentCache) {
        let done = match self {
            Self::Clear => cache.clear(),
            Self::Name(name) => cache.delete_name(NAME[name]),
            Self::Template(template) => cache.delete_template(TEMPLATE[template]),
            Self::Tags(one, other) => cache.invalidate_tags([TAG[one], TAG[other]]).unwrap(),
            Self::Parts(name) => {
                let keys = [0, 1].map(|part: usize| fragment_key!(NAME[name], part));
                cache.delete_many(&keys)[0]
            }
            Self::Key(name, part) => cache.delete(&fragment_key!(NAME[name], part)),
        };
        done.eventually();
    }

    fn collect(self, batch: &mut InvalidationBatch) {
        match self {
            Self::Clear => batch.clear(),
            Self::Name(name) => batch.delete_name(NAME[name]),
            Self::Template(template) => batch.delete_template(TEMPLATE[template]),
            Self::Tags(one, other) => batch.invalidate_tags([TAG[one], TAG[other]]).unwrap(),
            Self::Parts(name) => batch
                .delete(&fragment_key!(NAME[name], 0_usize))
                .delete(&fragment_key!(NAME[name], 1_usize)),
            Self::Key(name, part) => batch.delete(&fragment_key!(NAME[name], part)),
        };
    }
}

impl History<'_> {
    fn draw_act(&mut self) -> Act {
        let name = self.random.below(NAMES);
        match self.random.below(24) {
            0 => Act::Clear,
            1..4 => Act::Name(name),
            4..7 => Act::Template(self.random.below(TEMPLATES)),
            7..12 => Act::Tags(self.random.below(TAGS), self.random.below(TAGS)),
            12 | 13 => Act::Parts(name),
            _ => Act::Key(name, self.random.below(PARTS)),
        }
    }

    /// Runs an invalidation, or one step of a batch.
    pub(super) fn change(&mut self) {
        match self.random.below(6) {
            0 if self.batches.len() < 2 => self.begin_batch(),
            1 if !self.batches.is_empty() => self.collect(),
            2 if !self.batches.is_empty() => self.end_batch(),
            _ => {
                let namespace = self.draw_space();
                let act = self.draw_act();
                let process = self.draw_process();
                self.log(|| format!("{act:?} is invalidated in {namespace} by process {process}"));
                act.apply(&self.processes[process].spaces[namespace]);
                self.invalidated(act.covers(namespace), self.lag);
            }
        }
    }

    fn begin_batch(&mut self) {
        let namespace = self.draw_space();
        let process = self.draw_process();
        let mut batch = self.processes[process].spaces[namespace].batch();
        let mut lag = self.lag;
        if self.random.one_in(6) && self.store.is_none() {
            lag = Some(1 + self.random.below(4) as u64);
            batch.replica_lag(Duration::from_secs(lag.unwrap_or_default()));
        }
        self.log(|| format!("a batch begins in {namespace}, to be repeated after {lag:?}"));
        self.batches.push(Collected { batch, namespace, covered: LabelSet::default(), lag });
        self.collect();
    }

    fn collect(&mut self) {
        let act = self.draw_act();
        let at = self.random.below(self.batches.len());
        self.log(|| format!("batch {at} collects {act:?}"));
        let collected = &mut self.batches[at];
        act.collect(&mut collected.batch);
        collected.covered = collected.covered.with(act.covers(collected.namespace));
    }

    fn end_batch(&mut self) {
        let at = self.random.below(self.batches.len());
        let Collected { batch, covered, lag, .. } = self.batches.remove(at);
        if self.random.one_in(4) {
            self.log(|| format!("batch {at} is dropped"));
            return;
        }
        self.log(|| format!("batch {at} is applied"));
        batch.apply().eventually();
        self.invalidated(covered, lag);
    }

    /// An invalidation has returned. It is repeated `lag` seconds from now.
    pub(super) fn invalidated(&mut self, covered: LabelSet, lag: Option<u64>) {
        self.truth.invalidate(covered);
        if let Some(lag) = lag {
            self.truth.repeat(self.seconds() + lag, covered);
        }
    }
}
