//! Runs a story and records the result of each step.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::mpsc::channel;
use std::time::Duration;

use fragcache::testing::{ManualClock, Recorder};
use fragcache::{
    CacheMode, Caches, FragmentCache, FragmentKey, Invalidation, InvalidationBatch, ReadPoint,
    fragment_key_at, make_template_fragment_key,
};

use super::story::{Act, CacheSettings, Step, Story};
use crate::support::{Engine, Evaluated, Failure, Kind, Settings, said};

/// The result of one step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    step: String,
    evaluated: Option<Evaluated>,
    /// What another thread did at the first tick.
    meanwhile: Vec<String>,
    result: String,
    events: Vec<String>,
}

/// All steps of a story.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Telling(Vec<Told>);

impl Telling {
    pub(super) fn without_events(&self) -> Self {
        let quiet = |told: &Told| Told { events: Vec::new(), ..told.clone() };
        Self(self.0.iter().map(quiet).collect())
    }
}

impl fmt::Display for Telling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for told in &self.0 {
            writeln!(f, "# {}", told.step)?;
            for event in &told.events {
                writeln!(f, "- {event}")?;
            }
            for line in &told.meanwhile {
                writeln!(f, "meanwhile, {line}")?;
            }
            if let Some(evaluated) = &told.evaluated {
                writeln!(f, "evaluated: {evaluated}")?;
            }
            if !told.result.is_empty() {
                writeln!(f, "{}", visible(&told.result))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// A page in a readable form: every character that an editor may change is escaped.
fn visible(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\t' => out.push('→'),
            '\r' => out.push('␍'),
            '\n' => out.push_str("⏎\n"),
            '\u{feff}' => out.push_str("[BOM]"),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out.replace(" ⏎", "·⏎")
}

fn key_of(parts: &[String]) -> FragmentKey {
    let (name, vary) = parts.split_first().expect("a key has a name");
    make_template_fragment_key(name, vary)
}

/// Runs a story in one engine; `observed` is whether the cache has an observer.
pub(super) fn tell(story: &Story, kind: Kind, observed: bool) -> Telling {
    let clock = ManualClock::new();
    let mut recorders = Vec::new();
    let mut build = |name: &str, settings: &CacheSettings| {
        let recorder = Recorder::new();
        let builder = settings.apply(FragmentCache::builder().clock(clock.clone()));
        let builder = if observed { builder.observer(recorder.clone()) } else { builder };
        recorders.push((name.to_owned(), recorder));
        builder.build().unwrap()
    };
    let caches = Caches::new(build("default", &story.cache));
    let caches = story.caches.iter().fold(caches, |caches, (name, settings)| {
        let cache = build(name, settings);
        caches.with(name, cache).unwrap()
    });
    let mut teller = Teller {
        kind,
        settings: &story.settings,
        templates: story.templates.clone(),
        caches,
        using: "default".to_owned(),
        clock,
        rooms: BTreeMap::new(),
        within: String::new(),
        points: BTreeMap::new(),
    };
    teller.enter("");
    let mut told = Vec::new();
    for step in &story.steps {
        let Happened { title, page, meanwhile, result } = teller.step(step);
        let evaluated = page.then(|| teller.room().engine.counts().take());
        for (_, cache) in teller.caches.iter() {
            assert_eq!(cache.stats().flights, 0, "{kind}: a flight is open after {title}");
        }
        let mut events = Vec::new();
        for (name, recorder) in &recorders {
            let of = if name == "default" { String::new() } else { format!("{name}: ") };
            events.extend(said(recorder).iter().map(|event| format!("{of}{event}")));
            recorder.reset();
        }
        told.push(Told { step: title, evaluated, meanwhile, result, events });
    }
    Telling(told)
}

/// A namespace of the default cache, with its own engine.
struct Room {
    cache: FragmentCache,
    engine: Box<dyn Engine>,
}

/// The effects of one step.
struct Happened {
    title: String,
    /// Whether it rendered something.
    page: bool,
    meanwhile: Vec<String>,
    result: String,
}

impl Happened {
    fn new(title: String, result: String) -> Self {
        Self { title, page: false, meanwhile: Vec::new(), result }
    }
}

struct Teller<'s> {
    kind: Kind,
    settings: &'s Settings,
    /// The current templates.
    templates: BTreeMap<String, String>,
    caches: Caches,
    /// The name of the cache that Rust calls use.
    using: String,
    clock: ManualClock,
    rooms: BTreeMap<String, Room>,
    within: String,
    points: BTreeMap<String, ReadPoint>,
}

impl Teller<'_> {
    fn room(&self) -> &Room {
        &self.rooms[&self.within]
    }

    /// The cache that Rust calls use.
    fn cache(&self) -> &FragmentCache {
        match self.using.as_str() {
            "default" => &self.room().cache,
            name => self.caches.get(name).unwrap_or_else(|| panic!("no such cache: {name}")),
        }
    }

    fn enter(&mut self, namespace: &str) {
        namespace.clone_into(&mut self.within);
        if self.rooms.contains_key(namespace) {
            return;
        }
        let names = namespace.split('/').filter(|name| !name.is_empty());
        let cache = self.caches.default_cache().clone();
        let cache = names.fold(cache, |cache, name| cache.namespace(name));
        let others = self.caches.iter().skip(1);
        let caches = others.fold(Caches::new(cache.clone()), |caches, (name, other)| {
            caches.with(name, other.clone()).unwrap()
        });
        let mut engine = self.kind.engine(self.settings, Some(caches));
        let loaded = engine.load(&self.templates);
        loaded.unwrap_or_else(|failure| panic!("{}: {failure}", self.kind));
        self.rooms.insert(namespace.to_owned(), Room { cache, engine });
    }

    fn step(&mut self, step: &Step) -> Happened {
        match step {
            Step::Edit { edit, source } => {
                self.templates.insert(edit.clone(), source.clone());
                for room in self.rooms.values_mut() {
                    let added = room.engine.add(edit, source);
                    added.unwrap_or_else(|failure| panic!("{}: {failure}", self.kind));
                }
                Happened::new(format!("edit {edit}"), String::new())
            }
            Step::Begin { begin } => {
                self.points.insert(begin.clone(), self.cache().read_point());
                Happened::new(format!("begin {begin}"), String::new())
            }
            Step::Within { within } => {
                self.enter(within);
                Happened::new(format!("within {within:?}"), String::new())
            }
            Step::Using { using } => {
                using.clone_into(&mut self.using);
                Happened::new(format!("using {using:?}"), String::new())
            }
            step => self.quietly(step),
        }
    }

    /// Runs a step that may happen during another one.
    fn quietly(&self, step: &Step) -> Happened {
        let (cache, engine) = (self.cache(), &self.room().engine);
        let (title, result) = match step {
            Step::Render { render, with, token, scope, meanwhile } => {
                let mut context = with.clone();
                if let Some(token) = token {
                    context["fragcache_read_point"] = self.points[token].to_token().into();
                }
                let point = scope.as_ref().map(|scope| self.points[scope]);
                let page = || {
                    let page = || engine.render(render, &context);
                    shown(point.map_or_else(page, |point| point.scope(page)))
                };
                let by = |how: &str, name: &Option<String>| {
                    name.as_ref().map(|name| format!(" {how} {name}")).unwrap_or_default()
                };
                let title = format!(
                    "render {render} {with}{}{}",
                    by("with the token of", token),
                    by("in the scope of", scope)
                );
                let (result, meanwhile) = self.beside(meanwhile, page);
                return Happened { title, page: true, meanwhile, result };
            }
            Step::String { string, with } => {
                let result = shown(engine.render_str(string, with));
                let title = format!("render {string:?} {with}");
                return Happened { title, page: true, meanwhile: Vec::new(), result };
            }
            Step::Act(act) => (title_of(act), done(act, cache)),
            Step::Batch { batch: acts, apply } => {
                let mut batch = cache.batch();
                acts.iter().for_each(|act| collect(act, &mut batch));
                let titles: Vec<String> = acts.iter().map(title_of).collect();
                let what = if *apply { "applied" } else { "dropped" };
                if *apply {
                    batch.apply().eventually();
                }
                (format!("batch: {}", titles.join(", ")), what.to_owned())
            }
            Step::Advance { advance } => {
                self.clock.advance(Duration::from_secs_f64(*advance));
                (format!("advance {advance} s"), String::new())
            }
            Step::CacheMode { mode } => {
                cache.set_mode(match mode.as_str() {
                    "normal" => CacheMode::Normal,
                    "read-only" => CacheMode::ReadOnly,
                    "bypass" => CacheMode::Bypass,
                    other => panic!("no such mode: {other}"),
                });
                (format!("mode {mode}"), String::new())
            }
            Step::Get { get } => {
                let key = key_of(get);
                let markup = cache.get(&key).unwrap();
                assert_eq!(cache.contains(&key).unwrap(), markup.is_some());
                let result = markup.map_or("not there".into(), |markup| markup.to_string());
                (format!("get {key}"), result)
            }
            other => panic!("nothing to be done meanwhile: {other:?}"),
        };
        Happened::new(title, result)
    }

    /// Renders, while another thread runs these steps at the first tick.
    fn beside(&self, steps: &[Step], render: impl FnOnce() -> String) -> (String, Vec<String>) {
        if steps.is_empty() {
            return (render(), Vec::new());
        }
        let counts = self.room().engine.counts();
        let (begin, begun) = channel();
        let (end, ended) = channel();
        std::thread::scope(|scope| {
            let line = |step: &Step| {
                let Happened { title, result, .. } = self.quietly(step);
                format!("{title}: {}", visible(&result))
            };
            let other = scope.spawn(move || {
                begun.recv().expect("a tick");
                let lines = steps.iter().map(line).collect();
                end.send(()).unwrap();
                lines
            });
            counts.during(move || {
                begin.send(()).unwrap();
                ended.recv().unwrap();
            });
            let page = render();
            counts.during(|| {});
            (page, other.join().unwrap())
        })
    }
}

fn shown(page: Result<String, Failure>) -> String {
    page.unwrap_or_else(|failure| format!("failed: {}", failure.explained))
}

fn title_of(act: &Act) -> String {
    match act {
        Act::Delete { delete } => format!("delete {}", key_of(delete)),
        Act::DeleteAt { delete_at } => format!("delete {}", key_at(delete_at)),
        Act::DeleteName { delete_name } => format!("delete all called {delete_name}"),
        Act::DeleteTemplate { delete_template } => format!("delete all of {delete_template}"),
        Act::Invalidate { invalidate } => format!("invalidate {}", invalidate.join(", ")),
        Act::Clear { clear } => {
            assert!(clear);
            "clear".to_owned()
        }
    }
}

fn key_at((template, line, ordinal): &(String, u32, u32)) -> FragmentKey {
    fragment_key_at(template, *line).nth(*ordinal)
}

fn done(act: &Act, cache: &FragmentCache) -> String {
    let deletion = match act {
        Act::Delete { delete } => cache.delete(&key_of(delete)),
        Act::DeleteAt { delete_at } => cache.delete(&key_at(delete_at)),
        Act::DeleteName { delete_name } => cache.delete_name(delete_name),
        Act::DeleteTemplate { delete_template } => cache.delete_template(delete_template),
        Act::Invalidate { invalidate } => cache.invalidate_tags(invalidate).unwrap(),
        Act::Clear { .. } => cache.clear(),
    };
    match deletion {
        Invalidation::Invalidated => String::new(),
        other => format!("{other:?}"),
    }
}

fn collect(act: &Act, batch: &mut InvalidationBatch) {
    match act {
        Act::Delete { delete } => batch.delete(&key_of(delete)),
        Act::DeleteAt { delete_at } => batch.delete(&key_at(delete_at)),
        Act::DeleteName { delete_name } => batch.delete_name(delete_name),
        Act::DeleteTemplate { delete_template } => batch.delete_template(delete_template),
        Act::Invalidate { invalidate } => batch.invalidate_tags(invalidate).unwrap(),
        Act::Clear { .. } => batch.clear(),
    };
}
