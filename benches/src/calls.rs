//! Functions and values from Rust, without an engine: what `benches/calls.rs` compares with its
//! peers, and what `profile` repeats for callgrind.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

use fragcache::values::Values;
use fragcache::{FragmentCache, memoize};
use serde::{Deserialize, Serialize};

use crate::pages::{Render, body};

/// Calls of one run, each with another key.
pub const CALLS: u32 = 100;

/// Bytes of a text result.
const TEXT: usize = 300;

static CACHE: LazyLock<FragmentCache> = LazyLock::new(FragmentCache::in_memory);

/// A result of 300 bytes.
pub fn text(id: u32) -> String {
    format!("{id:0width$}", width = TEXT)
}

/// A text by its number, as a memoized function.
#[memoize(cache = CACHE, timeout = 300)]
pub fn page(id: u32) -> String {
    text(id)
}

/// As [`page`], asynchronous.
#[memoize(cache = CACHE, timeout = 300)]
pub async fn page_later(id: u32) -> String {
    text(id)
}

/// A struct of some 8.6 KB: an order with 60 lines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    id: u64,
    customer: String,
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Line {
    sku: String,
    title: String,
    amount: u32,
    cents: i64,
    note: Option<String>,
}

impl Order {
    /// An order of this number.
    pub fn new(id: u32) -> Self {
        let line = |at: u32| Line {
            sku: format!("SKU-{at:08}"),
            title: body(64),
            amount: at,
            cents: i64::from(at) * 1999,
            note: at.is_multiple_of(3).then(|| body(24)),
        };
        Self {
            id: id.into(),
            customer: format!("customer {id}"),
            lines: (0..60).map(line).collect(),
        }
    }

    /// The number of its lines.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether it has no lines.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

/// An order by its number, as a memoized function whose callers share the result.
#[memoize(cache = CACHE, timeout = 300)]
pub fn order(id: u32) -> Arc<Order> {
    Arc::new(Order::new(id))
}

/// The values of a cache that has all keys of a run, each made by `make`.
///
/// # Panics
///
/// Panics if the cache refuses a value, which does not happen.
#[allow(clippy::expect_used, reason = "the setup of a bench")]
pub fn values<T: fragcache::values::Value>(make: impl Fn(u32) -> T) -> Values {
    let values = FragmentCache::in_memory().values();
    for id in 0..CALLS {
        values.set(id, &make(id)).expect("can be serialized");
    }
    values
}

/// One run: each key once.
pub fn run(one: impl Fn(u32) -> usize + 'static) -> Render {
    Box::new(move || (0..CALLS).map(|id| one(black_box(id))).sum())
}

/// The output of a future that does not wait.
///
/// # Panics
///
/// Panics if it waits.
#[allow(clippy::panic, reason = "a bench has nobody to report to")]
pub fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a hit waits for nothing"),
    }
}

/// The way that `profile` calls `name`.
///
/// # Panics
///
/// Panics if there is no such way.
#[allow(clippy::panic, clippy::unwrap_used, reason = "a bench has nobody to report to")]
pub fn way(name: &str) -> Render {
    match name {
        "memo" => run(|id| page(id).len()),
        "memo-async" => run(|id| at_once(page_later(id)).len()),
        "text" => {
            let values = values(text);
            run(move |id| values.get::<String>(id).unwrap().len())
        }
        "number" => {
            let values = values(u64::from);
            run(move |id| values.get::<u64>(id).map_or(0, |_| 1))
        }
        "order" => {
            let values = values(Order::new);
            run(move |id| values.get::<Order>(id).unwrap().len())
        }
        "order-shared" => {
            let values = values(Order::new);
            run(move |id| values.get_shared::<Order>(id).unwrap().len())
        }
        "order-cloned" => {
            let values = values(Order::new);
            run(move |id| Order::clone(&values.get_shared(id).unwrap()).len())
        }
        "text-shared" => {
            let values = values(text);
            run(move |id| values.get_shared::<String>(id).unwrap().len())
        }
        "memo-shared" => run(|id| order(id).len()),
        name => panic!("no way {name}"),
    }
}
