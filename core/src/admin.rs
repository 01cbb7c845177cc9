//! For an administrator's tool, and for code of yours that does the work of one: what is in the store
//! behind a cache, deleting what a look at it has found, and switching all processes. The tool that
//! comes with this crate is `fragcache`, and has nothing that is not here.
//!
//! Nothing here is for a page: a scan reads every entry.

use std::time::Duration;

use crate::batch::Act;
use crate::cache::{FragmentCache, Invalidation};
pub use crate::entries::{EntryCursor, EntryInfo, EntryPage};
use crate::error::{Error, ErrorKind};
use crate::events::MissReason;
use crate::far::{EntryOwner, Far, ListedRecord, Unavailable};
use crate::key::{self, FragmentKey, KeyKind};
use crate::policy::CacheMode;
use crate::store::Capabilities;

/// For how long a [mode](Admin::set_fleet_mode) stands if nobody says otherwise: 30 days.
pub const FLEET_MODE_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// An administrator of the store behind a cache, in one namespace or in all.
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

/// Some of the entries in a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredPage {
    /// The entries, in no order.
    pub entries: Vec<StoredEntry>,
    /// Records in the place of entries that cannot be read.
    pub unreadable: Vec<UnreadableEntry>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<String>,
}

/// An entry in a store: one variant of a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredEntry {
    /// What the store calls it.
    pub record: String,
    /// The key in its namespace. Where keys are [opaque](crate::CacheBuilder::opaque_keys) the store tells a
    /// digest of it, and this is [redacted](FragmentKey::is_redacted); so it can be deleted.
    pub key: FragmentKey,
    /// The names of the namespaces that it lies in, outermost first; of an opaque key those of the
    /// handle only.
    pub namespaces: Vec<String>,
    /// The template whose cache block made it, if one did; never told where keys are opaque.
    pub template: Option<String>,
    /// How many labels it depends on, those of inner fragments and everything's included.
    pub labels: usize,
    /// What it takes in the store, in bytes, without its name.
    pub bytes: usize,
    /// The length of its markup in bytes.
    pub body_bytes: usize,
    /// The time since it was rendered, by this host's clock.
    pub age: Duration,
    /// The time until it expires, zero if it has; `None` for never.
    pub left: Option<Duration>,
    /// Why it would not be served; `None` if it would.
    pub miss: Option<MissReason>,
}

/// A record in the place of an entry that is none, or one that only others can read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnreadableEntry {
    /// What the store calls it.
    pub record: String,
    /// Why it cannot be read, as one word: `foreign`, `future`, `torn`, `checksum`, `mac` (signed
    /// with another secret or for another place, or by one side only), `opaque` (stored with
    /// [opaque keys](crate::CacheBuilder::opaque_keys) of another secret, or by one side only), `too-large`
    /// or `malformed`.
    pub reason: &'static str,
    /// What it takes in the store, in bytes, without its name; 0 of one that this cache's
    /// [`mac_key`](crate::FarLevel::mac_key) has not signed.
    pub bytes: usize,
}

/// How many records of each sort there are among some.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordPage {
    /// Entries, whether they can be read and served or not.
    pub entries: u64,
    /// Versions of labels.
    pub versions: u64,
    /// Leases: fragments that are being rendered.
    pub leases: u64,
    /// Lists of a fragment's variants.
    pub variant_lists: u64,
    /// Anything else.
    pub others: u64,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<String>,
}

impl Admin {
    /// An administrator of this handle's cache. Of a [namespace](FragmentCache::namespace) it lists
    /// what is in it, and in those within it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for a cache without a store.
    ///
    /// ```
    /// use fragcache::FragmentCache;
    /// use fragcache::admin::Admin;
    ///
    /// let error = Admin::new(&FragmentCache::in_memory()).unwrap_err();
    /// assert!(error.to_string().contains("memory of its own process"));
    /// ```
    pub fn new(cache: &FragmentCache) -> Result<Self, Error> {
        if cache.far().is_none() {
            return Err(no_store());
        }
        Ok(Self { cache: cache.clone() })
    }

    /// Some of the entries, from where `cursor` (the `next` of the page before) left off. An entry
    /// may come twice. All of them are read, and the versions of their labels: a store of a million
    /// entries takes minutes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] if the store did not answer, or cannot list its keys.
    pub fn entries(&self, cursor: Option<&str>) -> Result<StoredPage, Error> {
        let (listed, next) =
            self.far()?.list(cursor).map_err(|unavailable| self.unavailable(unavailable))?;
        let mut page = self.page(listed);
        page.next = next;
        Ok(page)
    }

    /// The variants that are stored of a key of this handle's namespace, newest first; at most 8.
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
    /// [`ErrorKind::Store`] if the store did not answer.
    pub fn variants(&self, key: &FragmentKey) -> Result<StoredPage, Error> {
        let encoded = self.cache.encoded(key);
        let listed = self
            .far()?
            .variants_of(&encoded)
            .map_err(|unavailable| self.unavailable(unavailable))?;
        let mut page = self.page(listed);
        for entry in &mut page.entries {
            // Whoever asks knows it, also where the store does not tell.
            entry.key = key.clone();
        }
        Ok(page)
    }

    /// How many records of each sort there are, some at a time, of all namespaces.
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

    /// Deletes these entries' keys, with every variant and render under way, as
    /// [`FragmentCache::delete`] does: in every process. The store is told in batches.
    ///
    /// # Errors
    ///
    /// None: what the store could not be told is [pending](Invalidation::Pending).
    pub fn delete(&self, entries: &[StoredEntry]) -> Invalidation {
        let mut done = Invalidation::Invalidated;
        for entries in entries.chunk_by(|one, other| one.namespaces == other.namespaces) {
            let Some(first) = entries.first() else { continue };
            let names = first.namespaces.iter();
            let place = names.fold(self.cache.root(), |cache, name| cache.namespace(name));
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

    /// Deletes everything of a kind that has this name: a fragment's whatever it varies on, all results
    /// of a function and of the method called so, all responses of a view, the value of this key.
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
    ///
    /// # Errors
    ///
    /// None: what the store could not be told is [pending](Invalidation::Pending).
    pub fn delete_named(&self, kind: KeyKind, name: &str) -> Invalidation {
        let mut batch = self.cache.batch();
        batch.acts.extend(FragmentKey::named(kind, name).into_iter().map(Act::Name));
        batch.apply()
    }

    /// How far all processes are to take part, for so long; they follow within two seconds, in all
    /// namespaces. [`CacheMode::Normal`] takes the word back, and `life` means nothing then. A process
    /// that was [switched](FragmentCache::set_mode) itself keeps to whichever is less.
    ///
    /// ```
    /// use fragcache::admin::{Admin, FLEET_MODE_LIFE};
    /// use fragcache::testing::MemoryStore;
    /// use fragcache::{FarLevel, FragmentCache, CacheMode};
    ///
    /// let store = MemoryStore::new();
    /// let cache = || FragmentCache::builder().far(FarLevel::new(store.clone())).build();
    /// Admin::new(&cache()?)?.set_fleet_mode(CacheMode::ReadOnly, FLEET_MODE_LIFE)?;
    /// assert_eq!(Admin::new(&cache()?)?.fleet_mode()?, CacheMode::ReadOnly);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for a life of less than a second or more than a century, and
    /// [`ErrorKind::Store`] if the store could not be told; processes may follow all the same then.
    pub fn set_fleet_mode(&self, mode: CacheMode, life: Duration) -> Result<(), Error> {
        let century = Duration::from_secs(100 * 365 * 24 * 3600);
        if mode != CacheMode::Normal && (life < Duration::from_secs(1) || life > century) {
            return Err(Error::new(
                ErrorKind::Config,
                format!("the mode would stand for {life:?}; write a second to a century"),
            ));
        }
        self.far()?.publish_mode(mode, life).map_err(|unavailable| self.unavailable(unavailable))
    }

    /// How far all processes are told to take part, as the store has it now. A word that is not signed
    /// with this cache's [`mac_key`](crate::FarLevel::mac_key) is none, here as in every process that has
    /// it; [`fleet_mode_fault`](Self::fleet_mode_fault) says so.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] if the store did not answer.
    pub fn fleet_mode(&self) -> Result<CacheMode, Error> {
        self.far()?.read_mode().map_err(|unavailable| self.unavailable(unavailable))
    }

    /// Why the mode in the store is not followed, as it was read last by [`fleet_mode`](Self::fleet_mode)
    /// or by the cache; `None` if it is, or if there is none.
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
    /// None for an administrator, whose cache has a store.
    pub fn fleet_mode_fault(&self) -> Result<Option<String>, Error> {
        Ok(self.far()?.mode_fault().map(|fault| fault.to_string()))
    }

    /// Whether the store holds what a cache of this prefix and these secrets has written. If not, it is
    /// empty, or the prefix or a secret is another, and a deletion is not what it was meant to be: under
    /// another prefix, or with another secret of [opaque keys](crate::CacheBuilder::opaque_keys), it
    /// reaches no process.
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
    /// [`ErrorKind::Store`] if the store did not answer.
    pub fn is_in_use(&self) -> Result<bool, Error> {
        self.far()?.is_in_use().map_err(|unavailable| self.unavailable(unavailable))
    }

    /// Whether what is stored under this prefix is signed as this cache signs, or not at all where it has no
    /// [`mac_key`](crate::FarLevel::mac_key); also where nothing is stored. If not, no process follows
    /// a [mode](Self::set_fleet_mode) that is set here. Looks at a few thousand records at most.
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

    /// Whether the store takes a record, returns it and deletes it. Its name is its own.
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
    /// [`ErrorKind::Store`] if it does not.
    pub fn probe(&self) -> Result<(), Error> {
        self.far()?.probe().map_err(|unavailable| self.unavailable(unavailable))
    }

    /// Removes records whose life is over, where the store does not do so by itself; how many.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] if the store could not.
    pub fn sweep(&self) -> Result<u64, Error> {
        self.far()?.sweep().map_err(|unavailable| self.unavailable(unavailable))
    }

    /// What the store can do.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn capabilities(&self) -> Result<&Capabilities, Error> {
        self.far().map(Far::capabilities)
    }

    fn far(&self) -> Result<&Far, Error> {
        self.cache.far().ok_or_else(no_store)
    }

    fn unavailable(&self, unavailable: Unavailable) -> Error {
        self.cache.unavailable(unavailable)
    }

    /// Those of this handle's namespace.
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

    /// The key of an entry and its namespaces, as far as they can be known; `None` outside of this
    /// handle's namespace.
    fn whose(&self, whose: &EntryOwner) -> Option<(FragmentKey, Vec<String>)> {
        let names = |key| key::namespaces(key).map(|(name, _)| name.to_owned()).collect();
        match whose {
            EntryOwner::Key(key) => {
                let bare = FragmentKey::from_encoded(key::without_namespaces(key));
                key.starts_with(self.cache.prefix()).then(|| (bare, names(key)))
            }
            EntryOwner::Labels(own) => {
                let own_place = self.cache.namespace_label();
                let is_here = own_place.is_none_or(|here| own.labels.namespaces.contains(&here));
                let key = FragmentKey::of_label(own.kind, own.labels.key);
                is_here.then(|| (key, names(self.cache.prefix())))
            }
        }
    }
}

fn no_store() -> Error {
    Error::new(
        ErrorKind::Config,
        "this cache has no store: its fragments are in the memory of its own process, which no other \
         can reach; write a type that is shared, such as \"redis\" or \"file\"",
    )
}
