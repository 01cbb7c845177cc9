//! Administration: list what is stored, delete what a listing found, and switch the mode of all
//! processes at once. The command-line tool `fragcache` uses only what is public here.
//!
//! Do not call this while serving a page: a scan reads every entry.

use std::time::Duration;

use crate::cache::FragmentCache;
pub use crate::cache::{EntryCursor, EntryInfo, EntryPage};
use crate::error::{Error, ErrorKind};
use crate::events::MissReason;
use crate::far::{EntryOwner, Far, ListedRecord, Unavailable};
use crate::handle::{Act, Invalidation};
use crate::key::{self, FragmentKey, KeyKind};
use crate::policy::CacheMode;
use crate::store::Capabilities;

/// Default duration of a [mode](Admin::set_fleet_mode): 30 days.
pub const FLEET_MODE_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

/// Administers the store behind a cache, in one namespace or in all.
///
/// ```
/// use fragcache::admin::Admin;
/// use fragcache::testing::MemoryStore;
/// use fragcache::{FarLevel, Fragment, FragmentCache, fragment_key};
///
/// let cache = FragmentCache::builder().far(FarLevel::new(MemoryStore::new())).build()?;
/// cache.render(&Fragment::new(fragment_key!("row", 7)), || "<td>7</td>")?;
///
/// let admin = Admin::new(&cache)?;
/// let page = admin.entries(None)?;
/// assert_eq!(page.entries[0].key, fragment_key!("row", 7));
/// assert_eq!(page.entries[0].body_bytes, 10);
/// assert_eq!(page.next, None);
///
/// admin.delete(&page.entries).eventually();
/// assert!(!cache.contains(&fragment_key!("row", 7))?);
/// # Ok::<(), fragcache::Error>(())
/// ```
#[derive(Debug)]
pub struct Admin {
    cache: FragmentCache,
}

/// One page of the entries in a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredPage {
    /// The entries, in no particular order.
    pub entries: Vec<StoredEntry>,
    /// Records stored in the place of an entry that cannot be read.
    pub unreadable: Vec<UnreadableEntry>,
    /// Cursor of the next page; `None` after the last one.
    pub next: Option<String>,
}

/// An entry in a store: one variant of a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredEntry {
    /// The name of its record in the store.
    pub record: String,
    /// The key within its namespace. With [opaque keys](crate::CacheBuilder::opaque_keys) the store
    /// has only a digest, so this key is [redacted](FragmentKey::is_redacted); it can still be
    /// deleted.
    pub key: FragmentKey,
    /// The names of its namespaces, outermost first. With opaque keys, only those of the handle.
    pub namespaces: Vec<String>,
    /// The template whose cache block rendered it, if any. Always `None` with opaque keys.
    pub template: Option<String>,
    /// The number of labels it depends on, including those of inner fragments and the root label.
    pub labels: usize,
    /// Its size in the store in bytes, without the record's name.
    pub bytes: usize,
    /// The length of its body in bytes.
    pub body_bytes: usize,
    /// Time since it was rendered, by this host's clock.
    pub age: Duration,
    /// Time until it expires, zero if it has expired; `None` if it never expires.
    pub left: Option<Duration>,
    /// Why it would not be served; `None` if it would be.
    pub miss: Option<MissReason>,
}

/// A record in the place of an entry that is damaged, or that only other processes can read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnreadableEntry {
    /// The name of its record in the store.
    pub record: String,
    /// Why it cannot be read, as one word: `foreign`, `future`, `torn`, `checksum`, `mac` (signed
    /// with another secret or for another record, or signed by one side only), `opaque` (stored
    /// with [opaque keys](crate::CacheBuilder::opaque_keys) under another secret, or by one side
    /// only), `too-large` or `malformed`.
    pub reason: &'static str,
    /// Its size in the store in bytes, without the record's name; 0 if it is not signed with this
    /// cache's [`mac_key`](crate::FarLevel::mac_key).
    pub bytes: usize,
}

/// The number of records of each kind on one page of a scan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordPage {
    /// Entries, including those that cannot be read or served.
    pub entries: u64,
    /// Versions of labels.
    pub versions: u64,
    /// Leases: fragments that are being rendered.
    pub leases: u64,
    /// Lists of a fragment's variants.
    pub variant_lists: u64,
    /// Anything else.
    pub others: u64,
    /// Cursor of the next page; `None` after the last one.
    pub next: Option<String>,
}

impl Admin {
    /// Returns an administrator for this handle's cache. For the handle of a
    /// [namespace](FragmentCache::namespace) it lists the entries in that namespace and in those
    /// nested in it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the cache has no store.
    ///
    /// ```
    /// use fragcache::FragmentCache;
    /// use fragcache::admin::Admin;
    ///
    /// let error = Admin::new(&FragmentCache::in_memory()).unwrap_err();
    /// assert!(error.to_string().contains("memory of one process"));
    /// ```
    pub fn new(cache: &FragmentCache) -> Result<Self, Error> {
        if cache.handle.far().is_none() {
            return Err(no_store());
        }
        Ok(Self { cache: cache.clone() })
    }

    /// Returns one page of the entries, starting at `cursor` (the `next` of the page before). An
    /// entry may be listed twice. The scan reads every entry and the versions of its labels, so a
    /// store of a million entries takes minutes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] if the store does not answer or cannot list its keys.
    pub fn entries(&self, cursor: Option<&str>) -> Result<StoredPage, Error> {
        let (listed, next) =
            self.far()?.list(cursor).map_err(|unavailable| self.unavailable(unavailable))?;
        let mut page = self.page(listed);
        page.next = next;
        Ok(page)
    }

    /// Returns the stored variants of a key in this handle's namespace, newest first; at most 8.
    ///
    /// ```
    /// use fragcache::admin::Admin;
    /// use fragcache::testing::MemoryStore;
    /// use fragcache::events::MissReason;
    /// use fragcache::{FarLevel, Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::builder().far(FarLevel::new(MemoryStore::new())).build()?;
    /// let row = Fragment::new(fragment_key!("row", 7)).tags(["prices"]);
    /// cache.render(&row, || "<td>7</td>")?;
    /// cache.invalidate_tags(["prices"])?.eventually();
    /// let variants = Admin::new(&cache)?.variants(row.key())?;
    /// assert_eq!(variants.entries[0].miss, Some(MissReason::TagInvalidated));
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] if the store does not answer.
    pub fn variants(&self, key: &FragmentKey) -> Result<StoredPage, Error> {
        let encoded = self.cache.handle.encoded(key);
        let listed = self
            .far()?
            .variants_of(&encoded)
            .map_err(|unavailable| self.unavailable(unavailable))?;
        let mut page = self.page(listed);
        for entry in &mut page.entries {
            // The caller knows the key, even where the store has only a digest.
            entry.key = key.clone();
        }
        Ok(page)
    }

    /// Counts the records of each kind in all namespaces, page by page.
    ///
    /// ```
    /// use fragcache::admin::Admin;
    /// use fragcache::testing::MemoryStore;
    /// use fragcache::{FarLevel, Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::builder().far(FarLevel::new(MemoryStore::new())).build()?;
    /// cache.render(&Fragment::new(fragment_key!("row", 7)), || "<td>7</td>")?;
    /// let (admin, mut versions, mut cursor) = (Admin::new(&cache)?, 0, None);
    /// loop {
    ///     let page = admin.records(cursor.as_deref())?;
    ///     versions += page.versions;
    ///     cursor = page.next;
    ///     if cursor.is_none() {
    ///         break;
    ///     }
    /// }
    /// assert!(versions >= 3, "of everything, the key and its name");
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`entries`](Self::entries).
    pub fn records(&self, cursor: Option<&str>) -> Result<RecordPage, Error> {
        let (sorts, next) =
            self.far()?.count(cursor).map_err(|unavailable| self.unavailable(unavailable))?;
        Ok(RecordPage {
            entries: sorts.entries,
            versions: sorts.versions,
            leases: sorts.leases,
            variant_lists: sorts.lists,
            others: sorts.others,
            next,
        })
    }

    /// Deletes the keys of these entries in every process, with all variants and renders in
    /// progress, as [`FragmentCache::delete`] does. Invalidations go to the store in batches.
    pub fn delete(&self, entries: &[StoredEntry]) -> Invalidation {
        let mut done = Invalidation::Invalidated;
        for entries in entries.chunk_by(|one, other| one.namespaces == other.namespaces) {
            let Some(first) = entries.first() else { continue };
            let names = first.namespaces.iter();
            let place = names.fold(self.cache.handle.root(), |cache, name| cache.namespace(name));
            let mut batch = place.batch();
            for entry in entries {
                batch.delete(&entry.key);
            }
            if batch.apply().is_pending() {
                done = Invalidation::Pending;
            }
        }
        done
    }

    /// Deletes everything of one kind under this name: all variants of a fragment, all results of a
    /// function and of the method of that name, all responses of a view, or the value of this key.
    ///
    /// ```
    /// use fragcache::admin::Admin;
    /// use fragcache::testing::MemoryStore;
    /// use fragcache::key::KeyKind;
    /// use fragcache::{FarLevel, FragmentCache};
    ///
    /// let cache = FragmentCache::builder().far(FarLevel::new(MemoryStore::new())).build()?;
    /// cache.values().set("stock", &3)?;
    /// Admin::new(&cache)?.delete_named(KeyKind::Value, "stock").eventually();
    /// assert!(!cache.values().contains("stock")?);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn delete_named(&self, kind: KeyKind, name: &str) -> Invalidation {
        let mut batch = self.cache.batch();
        batch.acts.extend(FragmentKey::named(kind, name).into_iter().map(Act::Name));
        batch.apply()
    }

    /// Sets the mode of all processes, in all namespaces, for `ttl`. They follow within two
    /// seconds. [`CacheMode::Normal`] removes the mode and ignores `ttl`. A process that was
    /// [switched](FragmentCache::set_mode) itself uses the more restrictive of the two modes.
    ///
    /// ```
    /// use fragcache::admin::{Admin, FLEET_MODE_TTL};
    /// use fragcache::testing::MemoryStore;
    /// use fragcache::{FarLevel, FragmentCache, CacheMode};
    ///
    /// let store = MemoryStore::new();
    /// let cache = || FragmentCache::builder().far(FarLevel::new(store.clone())).build();
    /// Admin::new(&cache()?)?.set_fleet_mode(CacheMode::ReadOnly, FLEET_MODE_TTL)?;
    /// assert_eq!(Admin::new(&cache()?)?.fleet_mode()?, CacheMode::ReadOnly);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if `ttl` is less than a second or more than a century.
    /// [`ErrorKind::Store`] if the store did not confirm; processes may follow the mode anyway.
    pub fn set_fleet_mode(&self, mode: CacheMode, ttl: Duration) -> Result<(), Error> {
        let century = Duration::from_secs(100 * 365 * 24 * 3600);
        if mode != CacheMode::Normal && (ttl < Duration::from_secs(1) || ttl > century) {
            return Err(Error::new(
                ErrorKind::Config,
                format!("the mode would last {ttl:?}; write 1 second to 100 years"),
            ));
        }
        self.far()?.publish_mode(mode, ttl).map_err(|unavailable| self.unavailable(unavailable))
    }

    /// Returns the mode of all processes that the store has now. A record that is not signed with
    /// this cache's [`mac_key`](crate::FarLevel::mac_key) is ignored, here as in every process that
    /// has the key; [`fleet_mode_fault`](Self::fleet_mode_fault) reports why.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] if the store does not answer.
    pub fn fleet_mode(&self) -> Result<CacheMode, Error> {
        self.far()?.read_mode().map_err(|unavailable| self.unavailable(unavailable))
    }

    /// Returns why the mode in the store is not followed, as of the last read by
    /// [`fleet_mode`](Self::fleet_mode) or by the cache. `None` if it is followed or there is none.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use fragcache::admin::Admin;
    /// use fragcache::store::Store;
    /// use fragcache::testing::MemoryStore;
    /// use fragcache::{FarLevel, FragmentCache, CacheMode};
    ///
    /// let store = MemoryStore::new();
    /// let cache = FragmentCache::builder().far(FarLevel::new(store.clone()).prefix("shop")).build()?;
    /// let admin = Admin::new(&cache)?;
    /// store.set("shop:m", b"no mode at all", Duration::from_secs(60))?;
    /// assert_eq!(admin.fleet_mode()?, CacheMode::Normal);
    /// assert!(admin.fleet_mode_fault()?.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// None: the cache of an administrator always has a store.
    pub fn fleet_mode_fault(&self) -> Result<Option<String>, Error> {
        Ok(self.far()?.mode_fault().map(|fault| fault.to_string()))
    }

    /// Returns true if the store has records that a cache with this prefix and these secrets has
    /// written. If not, the store is empty, or the prefix or a secret differs. A deletion then
    /// misses its target: under another prefix, or with another secret of [opaque
    /// keys](crate::CacheBuilder::opaque_keys), it reaches no process.
    ///
    /// ```
    /// use fragcache::admin::Admin;
    /// use fragcache::testing::MemoryStore;
    /// use fragcache::{FarLevel, Fragment, FragmentCache, fragment_key};
    ///
    /// let store = MemoryStore::new();
    /// let cache = |prefix| {
    ///     FragmentCache::builder().far(FarLevel::new(store.clone()).prefix(prefix)).build()
    /// };
    /// let (shop, blog) = (cache("shop")?, cache("blog")?);
    /// shop.render(&Fragment::new(fragment_key!("row", 7)), || "<td>7</td>")?;
    /// assert!(Admin::new(&shop)?.is_in_use()?);
    /// assert!(!Admin::new(&blog)?.is_in_use()?);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] if the store does not answer.
    pub fn is_in_use(&self) -> Result<bool, Error> {
        self.far()?.is_in_use().map_err(|unavailable| self.unavailable(unavailable))
    }

    /// Returns true if the records under this prefix are signed as this cache signs (unsigned if it
    /// has no [`mac_key`](crate::FarLevel::mac_key)), or if there are none. If false, no process
    /// follows a [mode](Self::set_fleet_mode) set here. Reads a few thousand records at most.
    ///
    /// # Errors
    ///
    /// As [`entries`](Self::entries).
    ///
    /// ```
    /// use fragcache::admin::Admin;
    /// use fragcache::testing::MemoryStore;
    /// use fragcache::{FarLevel, Fragment, FragmentCache, fragment_key};
    ///
    /// # #[cfg(feature = "mac")] {
    /// let store = MemoryStore::new();
    /// let level = || FarLevel::new(store.clone());
    /// let shop = FragmentCache::builder().far(level().mac_key("0123456789abcdef")).build()?;
    /// shop.render(&Fragment::new(fragment_key!("row", 7)), || "<td>7</td>")?;
    /// let without = FragmentCache::builder().far(level()).build()?;
    /// assert!(Admin::new(&shop)?.signs_alike()?);
    /// assert!(!Admin::new(&without)?.signs_alike()?);
    /// # }
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn signs_alike(&self) -> Result<bool, Error> {
        let reads =
            self.far()?.reads_versions().map_err(|unavailable| self.unavailable(unavailable))?;
        Ok(reads.unwrap_or(true))
    }

    /// Checks that the store can write, return and delete a record; uses a new name.
    ///
    /// ```
    /// use fragcache::admin::Admin;
    /// use fragcache::testing::MemoryStore;
    /// use fragcache::{FarLevel, FragmentCache};
    ///
    /// let store = MemoryStore::new();
    /// let cache = FragmentCache::builder().far(FarLevel::new(store.clone())).build()?;
    /// Admin::new(&cache)?.probe()?;
    /// assert!(store.keys().is_empty());
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] if the store fails to.
    pub fn probe(&self) -> Result<(), Error> {
        self.far()?.probe().map_err(|unavailable| self.unavailable(unavailable))
    }

    /// Removes expired records if the store does not do so by itself. Returns how many it removed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] if the store fails.
    pub fn sweep(&self) -> Result<u64, Error> {
        self.far()?.sweep().map_err(|unavailable| self.unavailable(unavailable))
    }

    /// Returns what the store supports.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn capabilities(&self) -> Result<&Capabilities, Error> {
        self.far().map(Far::capabilities)
    }

    fn far(&self) -> Result<&Far, Error> {
        self.cache.handle.far().ok_or_else(no_store)
    }

    fn unavailable(&self, unavailable: Unavailable) -> Error {
        self.cache.handle.unavailable(unavailable)
    }

    /// Builds a page of the entries in this handle's namespace.
    fn page(&self, listed: Vec<ListedRecord>) -> StoredPage {
        let mut page = StoredPage::default();
        for ListedRecord { record, bytes, content } in listed {
            match content.map(|found| (self.whose(&found.whose), found)) {
                Ok((Some((key, namespaces)), found)) => page.entries.push(StoredEntry {
                    record,
                    namespaces,
                    key,
                    template: found.template.map(Into::into),
                    labels: found.labels,
                    bytes,
                    body_bytes: found.body_bytes,
                    age: found.age,
                    left: found.left,
                    miss: found.miss,
                }),
                Ok((None, _)) => {}
                Err(reason) => page.unreadable.push(UnreadableEntry { record, reason, bytes }),
            }
        }
        page
    }

    /// The key and namespaces of an entry, as far as known; `None` outside this handle's namespace.
    fn whose(&self, whose: &EntryOwner) -> Option<(FragmentKey, Vec<String>)> {
        let names = |key| key::namespaces(key).map(|(name, _)| name.to_owned()).collect();
        match whose {
            EntryOwner::Key(key) => {
                let bare = FragmentKey::from_encoded(key::without_namespaces(key));
                key.starts_with(self.cache.handle.prefix()).then(|| (bare, names(key)))
            }
            EntryOwner::Labels(own) => {
                let own_place = self.cache.handle.namespace_label();
                let is_here = own_place.is_none_or(|here| own.labels.namespaces.contains(&here));
                let key = FragmentKey::of_label(own.kind, own.labels.key);
                is_here.then(|| (key, names(self.cache.handle.prefix())))
            }
        }
    }
}

fn no_store() -> Error {
    Error::new(
        ErrorKind::Config,
        "this cache has no store: its fragments are in the memory of one process, which no other \
         process can reach; write a shared type, such as \"redis\" or \"file\"",
    )
}
