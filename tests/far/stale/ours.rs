//! fragcache, with all the ways in which a fragment learns its dependencies.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fragcache::store::Store;
use fragcache::{Clock, MonotonicClock};
use fragcache::{FarLevel, Fragment, FragmentCache, FragmentKey, current, fragment_key};

use super::scheme::{Cached, Shape};
use super::truth::KEYS;

/// The mode of the near level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Front {
    None,
    Strict,
    Bounded,
}

/// TTL of the bounded near level. It is longer than any round, so that only [`Cached::settle`] ends
/// it; and a second less than the hour by which that moves the clock, because served entries are
/// checked by a clock that may be 10 ms behind.
const NEAR_TTL: Duration = Duration::from_secs(3599);

/// The system's clock plus a number of hours.
#[derive(Debug, Clone, Default)]
struct HoursAhead {
    clock: MonotonicClock,
    hours: Arc<AtomicU64>,
}

impl Clock for HoursAhead {
    fn now(&self) -> Duration {
        let hours = self.hours.load(Ordering::SeqCst);
        self.clock.now() + Duration::from_secs(3600 * hours)
    }

    fn recent(&self) -> Duration {
        let hours = self.hours.load(Ordering::SeqCst);
        self.clock.recent() + Duration::from_secs(3600 * hours)
    }
}

#[derive(Debug)]
pub(super) struct Ours {
    cache: FragmentCache,
    clock: HoursAhead,
    front: Front,
}

impl Ours {
    pub(super) fn new(store: Arc<dyn Store>, front: Front) -> Self {
        let level = FarLevel::shared(store);
        let level = match front {
            Front::None => level.without_near(),
            Front::Strict => level,
            Front::Bounded => level.near_ttl(NEAR_TTL),
        };
        let clock = HoursAhead::default();
        let builder = FragmentCache::builder().clock(clock.clone()).default_timeout(None);
        Self { cache: builder.far(level).build().unwrap(), clock, front }
    }

    fn text(&self, shape: Shape, read: &dyn Fn(usize) -> u64) -> (String, bool) {
        let fragment = Fragment::new(key(shape));
        let is_rendered = Cell::new(false);
        let render = |fragment: &Fragment, body: &dyn Fn() -> String| {
            let body = || {
                is_rendered.set(true);
                body()
            };
            self.cache.render(fragment, body).unwrap().to_string()
        };
        let text = match shape {
            Shape::Row(row) => render(&fragment.tags([tag(row)]), &|| shape.text(read)),
            Shape::Late(row) => render(&fragment, &|| {
                let text = shape.text(read);
                current::add_tags([tag(row)]).unwrap();
                text
            }),
            Shape::Loaded(row) => {
                let point = self.cache.read_point();
                let text = shape.text(read);
                let fragment = fragment.tags([tag(row)]);
                point.scope(|| render(&fragment, &|| text.clone()))
            }
            Shape::Page => render(&fragment, &|| {
                let inner = |row| if row % 2 == 0 { Shape::Row(row) } else { Shape::Late(row) };
                (0..KEYS).map(|row| self.text(inner(row), read).0).collect()
            }),
        };
        (text, is_rendered.get())
    }
}

impl Cached for Ours {
    fn serve(&self, shape: Shape, read: &dyn Fn(usize) -> u64) -> (String, bool) {
        self.text(shape, read)
    }

    fn changed(&self, row: usize, random: &mut fastrand::Rng) {
        let cache = &self.cache;
        match random.u8(..16) {
            0 => cache.clear(),
            1..4 => {
                let names = ["row", "late", "loaded"];
                names.map(|name| cache.delete_name(name))[0]
            }
            4..8 => {
                let shapes = [Shape::Row(row), Shape::Late(row), Shape::Loaded(row)];
                shapes.map(|shape| cache.delete(&key(shape)))[0]
            }
            _ => cache.invalidate_tags([tag(row)]).unwrap(),
        }
        .eventually();
    }

    fn settle(&self) {
        if self.front == Front::Bounded {
            self.clock.hours.fetch_add(1, Ordering::SeqCst);
        }
    }
}

fn key(shape: Shape) -> FragmentKey {
    match shape {
        Shape::Row(key) => fragment_key!("row", key),
        Shape::Late(key) => fragment_key!("late", key),
        Shape::Loaded(key) => fragment_key!("loaded", key),
        Shape::Page => fragment_key!("page"),
    }
}

fn tag(key: usize) -> String {
    format!("number:{key}")
}
