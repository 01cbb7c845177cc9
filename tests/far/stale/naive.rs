//! The schemes that most caches use. Each is implemented as well as its idea allows.

use std::sync::Arc;
use std::time::Duration;

use fragcache::store::Store;

use super::scheme::{Cached, Scheme, Shape};

const LIFE: Duration = Duration::from_secs(3600);

/// How often a process that finds a lock taken tries again.
const LOOKS: usize = 200;

#[derive(Debug)]
pub(super) struct Naive {
    scheme: Scheme,
    store: Arc<dyn Store>,
}

impl Naive {
    pub(super) fn new(scheme: Scheme, store: Arc<dyn Store>) -> Self {
        Self { scheme, store }
    }

    fn get(&self, key: &str) -> Option<String> {
        let value = self.store.get_many(&[key]).unwrap().pop().unwrap();
        value.map(|value| String::from_utf8(value).unwrap())
    }

    fn set(&self, key: &str, value: &str) {
        self.store.set(key, value.as_bytes(), LIFE).unwrap();
    }

    fn has_versions(&self) -> bool {
        !matches!(self.scheme, Scheme::SetAndDelete | Scheme::Lock)
    }

    /// The versions of all data that a shape depends on, as one text.
    fn versions(&self, shape: Shape) -> String {
        let names: Vec<String> = shape.keys().into_iter().map(version).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut values = self.store.get_many(&names).unwrap();
        if self.scheme == Scheme::VersionsWhenStoring {
            for (name, _) in names.iter().zip(&values).filter(|(_, value)| value.is_none()) {
                let drawn = format!("{:x}", fastrand::u64(1..));
                self.store.add(name, drawn.as_bytes(), LIFE).unwrap();
            }
            values = self.store.get_many(&names).unwrap();
        }
        let text =
            |value: Option<Vec<u8>>| value.map_or("0".into(), |it| String::from_utf8(it).unwrap());
        values.into_iter().map(|value| text(value) + " ").collect()
    }

    fn render(&self, shape: Shape, read: &dyn Fn(usize) -> u64) -> String {
        let before = self.has_versions().then(|| self.versions(shape));
        let text = shape.text(read);
        let versions = match self.scheme {
            Scheme::VersionsWhenStoring => Some(self.versions(shape)),
            _ => before,
        };
        self.set(&entry(shape), &(versions.unwrap_or_default() + "|" + &text));
        text
    }

    /// The stored text, if it may be served.
    fn stored(&self, shape: Shape) -> Option<String> {
        let stored = self.get(&entry(shape))?;
        let (versions, text) = stored.split_once('|').unwrap();
        let present = if self.has_versions() { self.versions(shape) } else { String::new() };
        (versions == present).then(|| text.to_owned())
    }
}

impl Cached for Naive {
    fn serve(&self, shape: Shape, read: &dyn Fn(usize) -> u64) -> (String, bool) {
        if let Some(text) = self.stored(shape) {
            return (text, false);
        }
        if self.scheme != Scheme::Lock {
            return (self.render(shape, read), true);
        }
        let (lock, token) = (entry(shape).replace(":e:", ":l:"), fastrand::u64(..).to_le_bytes());
        for _ in 0..LOOKS {
            if self.store.add(&lock, &token, LIFE).unwrap() {
                let text = self.render(shape, read);
                self.store.compare_and_delete(&lock, &token).unwrap();
                return (text, true);
            }
            if let Some(text) = self.stored(shape) {
                return (text, false);
            }
            std::thread::yield_now();
        }
        (shape.text(read), true)
    }

    fn changed(&self, key: usize, random: &mut fastrand::Rng) {
        match self.scheme {
            Scheme::SetAndDelete | Scheme::Lock => {
                for shape in Shape::all().filter(|shape| shape.keys().contains(&key)) {
                    self.store.delete(&entry(shape)).unwrap();
                }
            }
            Scheme::Counter => {
                let present = self.get(&version(key)).map_or(0, |text| text.parse().unwrap());
                self.set(&version(key), &u64::to_string(&(present + 1)));
            }
            _ => self.set(&version(key), &format!("{:x}", random.u64(1..))),
        }
    }
}

fn entry(shape: Shape) -> String {
    match shape {
        Shape::Row(key) => format!("naive:e:row:{key}"),
        Shape::Late(key) => format!("naive:e:late:{key}"),
        Shape::Loaded(key) => format!("naive:e:loaded:{key}"),
        Shape::Page => "naive:e:page".to_owned(),
    }
}

fn version(key: usize) -> String {
    format!("naive:v:{key}")
}
