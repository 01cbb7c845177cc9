//! Administration of a store: lists entries with their state, counts records by kind, and sets the
//! cache mode of all processes. Pages never call this.

use std::time::Duration;

use super::look::OwnLabels;
use super::versions::is_version;
use super::{Far, KnownVersions, Unavailable, variants};
use crate::entry::LabelVersion;
use crate::entry::record::Decoded;
use crate::events::MissReason;
use crate::label::Label;
use crate::policy::CacheMode;
use crate::store::{Capabilities, Fault, Operation, Page, Reply, StoreError};
use crate::sync::Ordering;

/// Most entries to read in one call, so that large ones fit into a deadline.
const READ_AT_ONCE: usize = 50;

/// Most versions to check when looking for a readable one.
const MAX_VERSIONS: usize = 4096;

/// TTL of a probe's record, in case it is not deleted.
const PROBE_LIFE: Duration = Duration::from_secs(10);

/// A record found under an entry's name.
#[derive(Debug)]
pub(crate) struct ListedRecord {
    pub(crate) record: String,
    /// Size of the whole record.
    pub(crate) bytes: usize,
    pub(crate) content: Result<Found, &'static str>,
}

/// An entry without its body.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) whose: EntryOwner,
    pub(crate) template: Option<Box<str>>,
    pub(crate) labels: usize,
    pub(crate) body_bytes: usize,
    pub(crate) age: Duration,
    /// Time until it expires; `None` for never.
    pub(crate) left: Option<Duration>,
    pub(crate) miss: Option<MissReason>,
}

/// What an entry states about its key.
#[derive(Debug)]
pub(crate) enum EntryOwner {
    /// The key with its namespaces.
    Key(Box<[u8]>),
    /// Labels only, where keys are opaque.
    Labels(OwnLabels),
}

/// Marks records whose keys are opaque under another secret, or on one side only.
const OPAQUE: &str = "opaque";

/// Number of records by kind.
#[derive(Debug, Default)]
pub(crate) struct RecordCounts {
    pub(crate) entries: u64,
    pub(crate) versions: u64,
    pub(crate) leases: u64,
    pub(crate) lists: u64,
    pub(crate) others: u64,
}

impl Far {
    pub(crate) fn capabilities(&self) -> &Capabilities {
        &self.link.capabilities
    }

    /// One page of entries, and the cursor of the next page.
    pub(crate) fn list(
        &self,
        cursor: Option<&str>,
    ) -> Result<(Vec<ListedRecord>, Option<String>), Unavailable> {
        let Page { mut keys, next } = self.scan(&self.names.entries(), cursor)?;
        // A store may list a name twice.
        keys.sort_unstable();
        keys.dedup();
        Ok((self.describe(&keys, &|_| true)?, next))
    }

    /// The variants that a key has or recently had, newest first.
    pub(crate) fn variants_of(&self, key: &[u8]) -> Result<Vec<ListedRecord>, Unavailable> {
        let id = self.fragment(key);
        let list = self.values_bypassing_breaker(&[self.names.variants(&id)])?.pop().flatten();
        let names: Vec<String> = variants::listed(list.as_deref())
            .map(|variant| self.names.entry(&id, variant.id))
            .collect();
        // A different key with the same hash is skipped.
        self.describe(&names, &|record| self.is_of(record, key))
    }

    /// Counts one page of records by kind.
    pub(crate) fn count(
        &self,
        cursor: Option<&str>,
    ) -> Result<(RecordCounts, Option<String>), Unavailable> {
        let prefix = self.names.records();
        let Page { keys, next } = self.scan(&prefix, cursor)?;
        let mut sorts = RecordCounts::default();
        for key in keys {
            let sort = key.strip_prefix(&prefix).and_then(|rest| rest.split(':').next());
            *match sort {
                Some("e") => &mut sorts.entries,
                Some("v") => &mut sorts.versions,
                Some("l") => &mut sorts.leases,
                Some("n") => &mut sorts.lists,
                _ => &mut sorts.others,
            } += 1;
        }
        Ok((sorts, next))
    }

    /// Sets the cache mode of all processes for `ttl`.
    pub(crate) fn publish_mode(&self, mode: CacheMode, ttl: Duration) -> Result<(), Unavailable> {
        let key = self.names.mode();
        self.bypassing_breaker(&[match mode {
            CacheMode::Normal => Operation::Delete { key: &key },
            other => Operation::Set { key: &key, value: other.as_str().as_bytes(), ttl },
        }])?;
        Ok(())
    }

    /// Reads the cache mode of all processes from the store.
    pub(crate) fn read_mode(&self) -> Result<CacheMode, Unavailable> {
        let word = self.bypassing_breaker(&[Operation::Get { key: &self.names.mode() }])?.pop();
        let Some(Reply::Value(word)) = word else { return Ok(CacheMode::Normal) };
        Ok(self.mode_of(word.as_deref()))
    }

    /// Why the mode that was read last is ignored, if it is.
    pub(crate) fn mode_fault(&self) -> Option<StoreError> {
        (self.has_unknown_mode.load(Ordering::Relaxed) != 0).then(super::worker::unknown_mode)
    }

    /// Whether the store is in use, that is, whether the root label has a version: every process
    /// that stores something creates one. If that record cannot be read, it alone may have been
    /// overwritten, so the other versions are checked too.
    pub(crate) fn is_in_use(&self) -> Result<bool, Unavailable> {
        let root = self.names.version(self.hasher.root());
        let there = self.values_bypassing_breaker(&[root])?.pop().flatten();
        Ok(match there {
            None => false,
            Some(version) => is_version(&version) || self.reads_versions()? == Some(true),
        })
    }

    /// Whether any version in the store can be read; `None` if there is none. Checks a few
    /// thousand.
    pub(crate) fn reads_versions(&self) -> Result<Option<bool>, Unavailable> {
        let (prefix, mut cursor, mut seen) = (self.names.versions(), None, 0);
        loop {
            let Page { keys, next } = self.scan(&prefix, cursor.as_deref())?;
            let values = self.values_bypassing_breaker(&keys)?;
            if values.into_iter().flatten().any(|version| is_version(&version)) {
                return Ok(Some(true));
            }
            seen += keys.len();
            cursor = next;
            if cursor.is_none() || seen >= MAX_VERSIONS {
                return Ok((seen > 0).then_some(false));
            }
        }
    }

    /// Writes a record, reads it and deletes it.
    pub(crate) fn probe(&self) -> Result<(), Unavailable> {
        let token = super::fill::draw().map_err(|error| Unavailable(Some(error)))?;
        let key = self.names.probe(u128::from_be_bytes(token));
        let replies = self.bypassing_breaker(&[
            Operation::Set { key: &key, value: &token, ttl: PROBE_LIFE },
            Operation::Get { key: &key },
            Operation::Delete { key: &key },
        ])?;
        if replies.get(1) == Some(&Reply::Value(Some(token.to_vec()))) {
            return Ok(());
        }
        let message = "the store accepted a record and did not return it";
        Err(Unavailable(Some(StoreError::new(Fault::Protocol, message))))
    }

    /// Removes expired records, if the store does not do so by itself.
    pub(crate) fn sweep(&self) -> Result<u64, Unavailable> {
        self.link.store().sweep().map_err(|error| Unavailable(Some(error)))
    }

    fn scan(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, Unavailable> {
        self.link.store().scan(prefix, cursor).map_err(|error| Unavailable(Some(error)))
    }

    /// Administration goes on while pages skip the store.
    fn bypassing_breaker(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, Unavailable> {
        self.link.run_bypassing_breaker(operations).map_err(|error| Unavailable(Some(error)))
    }

    fn values_bypassing_breaker(
        &self,
        keys: &[String],
    ) -> Result<Vec<Option<Vec<u8>>>, Unavailable> {
        let gets: Vec<_> = keys.iter().map(|key| Operation::Get { key }).collect();
        Ok(super::values(if gets.is_empty() { Vec::new() } else { self.bypassing_breaker(&gets)? }))
    }

    /// Describes the records under these names, without readable records that are not `wanted`.
    fn describe(
        &self,
        names: &[String],
        wanted: &dyn Fn(&Decoded) -> bool,
    ) -> Result<Vec<ListedRecord>, Unavailable> {
        let mut listed = Vec::with_capacity(names.len());
        for names in names.chunks(READ_AT_ONCE) {
            self.describe_some(names, wanted, &mut listed)?;
        }
        Ok(listed)
    }

    fn describe_some(
        &self,
        names: &[String],
        wanted: &dyn Fn(&Decoded) -> bool,
        listed: &mut Vec<ListedRecord>,
    ) -> Result<(), Unavailable> {
        let values = self.values_bypassing_breaker(names)?;
        let read: Vec<_> = names
            .iter()
            .zip(values)
            // An entry that has gone since it was listed is skipped.
            .filter_map(|(name, value)| Some((name, value?)))
            .map(|(name, value)| (name, self.bytes_of(&value), self.read_record(&value)))
            .filter(|(_, _, decoded)| decoded.as_ref().map_or(true, wanted))
            .collect();
        let mut labels: Vec<Label> = Vec::new();
        for decoded in read.iter().filter_map(|(_, _, decoded)| decoded.as_ref().ok()) {
            labels.extend(decoded.labels.iter().map(|&(label, _)| Label::from_hash(label)));
        }
        labels.retain(|label| !label.is_written());
        labels.sort_unstable();
        labels.dedup();
        let known = KnownVersions::new(
            &labels,
            &self.values_bypassing_breaker(&self.version_keys(&labels))?,
        );
        listed.extend(read.into_iter().map(|(name, bytes, decoded)| ListedRecord {
            record: name.clone(),
            bytes,
            content: match decoded {
                Ok(decoded) => self.found(decoded, &known),
                Err(why) => Err(why.as_str()),
            },
        }));
        Ok(())
    }

    /// Bytes that a record takes in the store; 0 for an untrusted one, which is not read.
    fn bytes_of(&self, value: &[u8]) -> usize {
        if self.is_untrusted(value) { 0 } else { value.len() + self.signature_bytes }
    }

    fn found(&self, decoded: Decoded, known: &KnownVersions) -> Result<Found, &'static str> {
        let versions: Vec<(Label, LabelVersion)> = decoded
            .labels
            .iter()
            .map(|&(label, version)| (Label::from_hash(label), version))
            .collect();
        let age = Duration::from_millis(self.unix_millis().saturating_sub(decoded.created));
        let left = decoded.ttl.map(|ttl| Duration::from_millis(ttl).saturating_sub(age));
        let over = left.is_some_and(|left| left.is_zero()).then_some(MissReason::Expired);
        let template = decoded.template.as_deref().map(|template| self.hasher.template(template));
        let (whose, own) = match decoded.own.as_deref().map(OwnLabels::read) {
            None if !self.is_opaque() => {
                let own = self.hasher.labels(&decoded.key, template);
                (EntryOwner::Key(decoded.key), own)
            }
            // Under another secret, every label differs.
            Some(Some(own)) if versions.iter().any(|&(label, _)| label == self.hasher.root()) => {
                let labels = own.labels.clone();
                (EntryOwner::Labels(own), labels)
            }
            _ => return Err(OPAQUE),
        };
        Ok(Found {
            whose,
            labels: versions.iter().filter(|(label, _)| !label.is_written()).count(),
            body_bytes: decoded.body.len(),
            age,
            left,
            miss: self.compare(&versions, known, Some(&own)).err().or(over),
            template: decoded.template,
        })
    }
}
