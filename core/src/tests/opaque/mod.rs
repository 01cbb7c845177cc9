//! Opaque keys: what a store and observers learn, and that all else is unchanged. The shared tools
//! are words that are planted in every place that a key, a label or a record is made from, and a
//! store that records everything it was ever given.

mod acts;
mod forged;
mod stored;
mod watched;

use std::sync::Arc;
use std::time::Duration;

use super::{Rig, block, rig_with};
use crate::engine::{OutputMode, Scalar};
use crate::memoize::Function;
use crate::store::{Capabilities, Operation, Page, Reply, Store, StoreError};
use crate::sync::Mutex;
use crate::testing::MemoryStore;
use crate::{FarLevel, Fragment, FragmentCache, FragmentKey, fragment_key};

const SECRET: &[u8] = b"the secret of these tests, 32 by";
const ANOTHER: &[u8] = b"another secret of these tests, 3";

/// The part of all words that a store must not learn.
const PLANTED: &str = "planted";
/// The part of all words that observers must not learn either.
const PLANTED_VALUE: &str = "plantedvalue";

const NAME: &str = "planted-name";
const TEMPLATE: &str = "planted-template.html";
const SOURCE: &str = "planted-source";
const TAG: &str = "planted-tag";
const SPACE: &str = "planted-space";
const MODE: &str = "planted-mode";
const FUNCTION: &str = "planted::function";
const VARY: &str = "plantedvalue-vary";
const VERSION: &str = "plantedvalue-version";
const VALUE: &str = "plantedvalue-key";
const ARGUMENT: &str = "plantedvalue-argument";
#[cfg(feature = "async")]
const VIEW: &str = "planted-view";
#[cfg(feature = "async")]
const PATH: &str = "/plantedvalue-path";

/// The name and bytes of a record.
type Given = (String, Vec<u8>);

/// Records the name and bytes of every record that it was given, including deleted ones.
#[derive(Debug, Clone, Default)]
struct Spy {
    store: MemoryStore,
    seen: Arc<Mutex<Vec<Given>>>,
}

impl Spy {
    fn see(&self, key: &str, value: &[u8]) {
        self.seen.lock().push((key.to_owned(), value.to_vec()));
    }

    fn seen(&self) -> Vec<Given> {
        self.seen.lock().clone()
    }
}

impl Store for Spy {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> {
        for operation in operations {
            let value = match *operation {
                Operation::CompareAndDelete { expected, .. } => Some(expected),
                _ => operation.value(),
            };
            self.see(operation.key(), value.unwrap_or_default());
        }
        self.store.run(operations)
    }

    fn scan(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, StoreError> {
        self.store.scan(prefix, cursor)
    }
}

/// The configurations of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Levels {
    Near,
    Far,
    Both,
}

const LEVELS: [Levels; 3] = [Levels::Near, Levels::Far, Levels::Both];

impl Levels {
    fn rig(self, store: impl Store, secret: Option<&[u8]>) -> Rig {
        rig_with(|builder| {
            let level = FarLevel::new(store);
            let builder = match self {
                Self::Near => builder,
                Self::Far => builder.far(level.without_near()),
                Self::Both => builder.far(level),
            };
            let builder = builder.jitter(0.0).stats_by_name(100);
            match secret {
                Some(secret) => builder.opaque_keys(secret),
                None => builder,
            }
        })
    }

    /// A process with opaque keys. If it has a store, it shares it with all processes on the same
    /// store.
    fn opaque(self, store: &MemoryStore) -> Rig {
        self.rig(store.clone(), Some(SECRET))
    }
}

fn row() -> Fragment {
    Fragment::new(fragment_key!(NAME, VARY)).tags([TAG]).version(VERSION)
}

fn print_block(cache: &FragmentCache, mode: OutputMode) -> String {
    let args = [Scalar::Int(60), Scalar::Str(NAME), Scalar::Str(VARY)];
    block(SOURCE, TEMPLATE, "").print(cache, mode, &args, || "body".to_owned())
}

fn value_key(cache: &FragmentCache) -> FragmentKey {
    cache.values().key(VALUE)
}

fn call() -> crate::memoize::Call {
    Function::new(FUNCTION).call().arg(&ARGUMENT).arg(&7)
}

/// All keys that [`live`] renders under, except unnamed blocks, which have no vary parts.
fn keys(cache: &FragmentCache) -> Vec<FragmentKey> {
    vec![
        row().key().clone(),
        value_key(cache),
        call().key().unwrap(),
        #[cfg(feature = "async")]
        crate::engine::view_key(VIEW, PATH),
    ]
}

/// Creates something of every kind, inside and outside a namespace, and deletes it in every way. A
/// second round finds and replaces entries.
fn live(cache: &FragmentCache) {
    for cache in [cache, &cache.namespace(SPACE)] {
        for _ in 0..2 {
            make(cache);
        }
        cache.delete(row().key()).eventually();
        cache.values().delete(VALUE).eventually();
        cache.delete_memoized(call()).unwrap().eventually();
        make(cache);
        cache.delete_name(NAME).eventually();
        cache.delete_template(TEMPLATE).eventually();
        cache.invalidate_tags([TAG]).unwrap().eventually();
        cache.values().clear().eventually();
        #[cfg(feature = "async")]
        cache.delete_view(VIEW, PATH).eventually();
        make(cache);
        cache.namespace(SPACE).clear().eventually();
        make(cache);
    }
}

fn make(cache: &FragmentCache) {
    cache.prefetch([row().key()], || {
        let inner = || cache.render(row(), || "body").unwrap().to_string();
        cache.render(Fragment::new(fragment_key!("planted-outer", VARY)), inner).unwrap();
    });
    for mode in [OutputMode::HTML, OutputMode::custom(MODE)] {
        print_block(cache, mode);
        // An unnamed block.
        block(SOURCE, TEMPLATE, "u").print(
            cache,
            mode,
            &[Scalar::Int(60), Scalar::Bool(false)],
            || "body".to_owned(),
        );
    }
    cache.values().set(VALUE, &3).unwrap();
    assert_eq!(cache.memoize(&call(), || 7), 7);
    cache.get(row().key()).unwrap();
    #[cfg(feature = "async")]
    respond(cache);
}

/// Answers a request.
#[cfg(feature = "async")]
fn respond(cache: &FragmentCache) -> crate::engine::ViewRequest {
    use crate::engine::{Body, ViewOpened, ViewRequest, view_key};

    let make = |bytes: Vec<u8>| Some(Body::opaque(bytes.into_boxed_slice()));
    let call = ViewRequest::new(cache, &view_key(VIEW, PATH), "test/1", make);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    match runtime.block_on(call.open(cache.read_point())) {
        ViewOpened::Render(open) => {
            open.close(Body::opaque(Box::<[u8]>::from(*b"response")));
        }
        ViewOpened::Hit(_) => {}
        ViewOpened::Pass => panic!("a cache that is on keeps it"),
    }
    call
}
