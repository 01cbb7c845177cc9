//! The environment of a case: caches by their Python names, a clock, memoized functions
//! that count their runs, and handlers for the case's other calls and requests.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fragcache::memoize::{Call, CallSelector, Function, Method};
use fragcache::testing::ManualClock;
use fragcache::{CacheBuilder, FragmentCache};
use serde_json::Value as Json;

use super::case::Asked;
use super::said::{Py, Said};
use super::verbs;

/// The result of a call, or its error.
pub(super) type Told = Result<Json, String>;

/// The response to a request.
#[derive(Debug, Default)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Answered {
    pub(super) fn text(body: impl Into<String>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }
}

/// How often each function ran.
pub(super) type Ran = BTreeMap<&'static str, u64>;

type Settings = dyn Fn(Call, &[Py]) -> Call + Send + Sync;
type Body = dyn Fn(&Stage, u64, &[Py]) -> Told + Send + Sync;
type Answer = dyn Fn(&Stage, &str) -> Told + Send + Sync;
type Handler = dyn Fn(&Stage, &Asked) -> Answered + Send + Sync;

/// A memoized function, or a method of one object.
pub(super) struct Memo {
    of: Result<Method, Function>,
    ticks: &'static str,
    parameters: &'static [(&'static str, Option<&'static str>)],
    /// The arguments that make up the key.
    keyed: fn(&[Py]) -> Vec<Py>,
    settings: Box<Settings>,
    body: Box<Body>,
}

impl Memo {
    /// A function that returns the number of its runs.
    pub(super) fn new(function: Function) -> Self {
        Self {
            of: Err(function),
            ticks: "f",
            parameters: &[],
            keyed: <[Py]>::to_vec,
            settings: Box::new(|call, _| call),
            body: Box::new(|_, runs, _| Ok(runs.into())),
        }
    }

    /// The method of the object with this identity.
    pub(super) fn of(function: Function, identity: impl serde::Serialize) -> Self {
        Self { of: Ok(function.of(&identity)), ..Self::new(function) }
    }

    /// The name under which its runs are counted.
    pub(super) fn counted(mut self, name: &'static str) -> Self {
        self.ticks = name;
        self
    }

    pub(super) fn taking(
        mut self,
        parameters: &'static [(&'static str, Option<&'static str>)],
    ) -> Self {
        self.parameters = parameters;
        self
    }

    pub(super) fn keyed(mut self, by: fn(&[Py]) -> Vec<Py>) -> Self {
        self.keyed = by;
        self
    }

    pub(super) fn with(
        mut self,
        settings: impl Fn(Call, &[Py]) -> Call + Send + Sync + 'static,
    ) -> Self {
        self.settings = Box::new(settings);
        self
    }

    /// With a TTL of `seconds`.
    pub(super) fn seconds(self, seconds: u64) -> Self {
        self.with(move |call, _| call.expires_after(Duration::from_secs(seconds)))
    }

    pub(super) fn gives(
        self,
        body: impl Fn(&Stage, u64, &[Py]) -> Json + Send + Sync + 'static,
    ) -> Self {
        self.tries(move |stage, runs, args| Ok(body(stage, runs, args)))
    }

    pub(super) fn tries(
        mut self,
        body: impl Fn(&Stage, u64, &[Py]) -> Told + Send + Sync + 'static,
    ) -> Self {
        self.body = Box::new(body);
        self
    }

    fn call(&self, args: &[Py]) -> Call {
        let call = match &self.of {
            Ok(instance) => instance.call(),
            Err(function) => function.call(),
        };
        let call = (self.keyed)(args).iter().fold(call, Call::arg);
        (self.settings)(call, args)
    }

    fn all(&self) -> CallSelector {
        match &self.of {
            Ok(instance) => instance.into(),
            Err(function) => (*function).into(),
        }
    }
}

/// Run counts: in total, and since the last query.
#[derive(Clone, Default)]
pub(super) struct Counts(Arc<Mutex<(Ran, Ran)>>);

impl Counts {
    pub(super) fn tick(&self, name: &'static str) -> u64 {
        let (all, recent) = &mut *self.0.lock().unwrap();
        *recent.entry(name).or_default() += 1;
        let total = all.entry(name).or_default();
        *total += 1;
        *total
    }

    pub(super) fn take(&self) -> Ran {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }
}

/// A case's caches and functions.
pub(super) struct Stage {
    pub(super) clock: ManualClock,
    caches: Mutex<BTreeMap<&'static str, FragmentCache>>,
    memos: BTreeMap<&'static str, Memo>,
    objects: Vec<(&'static str, Py)>,
    answers: Vec<(&'static str, Box<Answer>)>,
    acts: Vec<(&'static str, Box<Answer>)>,
    handler: Option<Box<Handler>>,
    counts: Counts,
    /// Servers and folders, dropped with the stage.
    held: Vec<Box<dyn Any + Send + Sync>>,
}

impl Stage {
    /// With a cache in memory.
    pub(super) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(super) fn with(settings: impl FnOnce(CacheBuilder) -> CacheBuilder) -> Self {
        let stage = Self::empty();
        let cache = settings(FragmentCache::builder().clock(stage.clock.clone())).build().unwrap();
        stage.cached("cache", cache)
    }

    pub(super) fn empty() -> Self {
        Self {
            clock: ManualClock::new(),
            caches: Mutex::default(),
            memos: BTreeMap::new(),
            objects: Vec::new(),
            answers: Vec::new(),
            acts: Vec::new(),
            handler: None,
            counts: Counts::default(),
            held: Vec::new(),
        }
    }

    /// Adds a cache under a name.
    pub(super) fn cached(self, name: &'static str, cache: FragmentCache) -> Self {
        self.set_cache(name, cache);
        self
    }

    pub(super) fn set_cache(&self, name: &'static str, cache: FragmentCache) {
        self.caches.lock().unwrap().insert(name, cache);
    }

    pub(super) fn holding(mut self, thing: impl Any + Send + Sync) -> Self {
        self.held.push(Box::new(thing));
        self
    }

    /// Adds a function, or an object's method, under the text that calls it.
    pub(super) fn memo(mut self, name: &'static str, memo: Memo) -> Self {
        self.memos.insert(name, memo);
        self
    }

    /// Adds an object, created by this text, with its value.
    pub(super) fn object(mut self, text: &'static str, holds: Py) -> Self {
        self.objects.push((text, holds));
        self
    }

    /// Handles calls whose text begins with `call`.
    pub(super) fn says(
        mut self,
        call: &'static str,
        answer: impl Fn(&Self, &str) -> Told + Send + Sync + 'static,
    ) -> Self {
        self.answers.push((call, Box::new(answer)));
        self
    }

    /// Performs actions outside the cache whose description begins with `what`.
    pub(super) fn acts(
        mut self,
        what: &'static str,
        act: impl Fn(&Self) + Send + Sync + 'static,
    ) -> Self {
        let act = move |stage: &Self, _: &str| {
            act(stage);
            Ok(Json::Null)
        };
        self.acts.push((what, Box::new(act)));
        self
    }

    /// Handles requests, without a cache in front.
    pub(super) fn asked(
        mut self,
        handler: impl Fn(&Self, &Asked) -> Answered + Send + Sync + 'static,
    ) -> Self {
        self.handler = Some(Box::new(handler));
        self
    }

    pub(super) fn cache(&self) -> FragmentCache {
        self.cache_of("cache").unwrap()
    }

    pub(super) fn cache_of(&self, name: &str) -> Option<FragmentCache> {
        self.caches.lock().unwrap().get(name).cloned()
    }

    /// Counts a run. Returns the number of runs so far.
    pub(super) fn tick(&self, name: &'static str) -> u64 {
        self.counts.tick(name)
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// Calls a memoized function.
    pub(super) fn run(&self, name: &str, args: &[Py]) -> Told {
        let memo = &self.memos[name];
        self.cache().try_memoize(&memo.call(args), || {
            let runs = self.tick(memo.ticks);
            (memo.body)(self, runs, args)
        })
    }

    /// Deletes the results that `delete_memoized` of these arguments selects.
    pub(super) fn delete_memoized(
        &self,
        said: &Said,
    ) -> Result<fragcache::Invalidation, fragcache::Error> {
        let [of, args @ ..] = &*said.args else { panic!("delete_memoized of nothing") };
        let (path, mut args) = (of.text(), args);
        let mut memo = self.memos.get(path);
        // `Adder.add, adder1` is `adder1.add`.
        if let (Some(Py::Code(object)), Some((_, method))) = (args.first(), path.rsplit_once('.')) {
            memo = self.memos.get(&*format!("{object}.{method}")).or(memo);
            args = &args[1..];
        }
        let memo = memo.unwrap_or_else(|| panic!("no function {path}"));
        if args.is_empty() && said.named.is_empty() && said.args.len() == 1 {
            return self.cache().delete_memoized(memo.all());
        }
        let rest = Said { args: args.to_vec(), ..said.clone() };
        self.cache().delete_memoized(memo.call(&rest.bound(memo.parameters)))
    }

    /// Performs a call of the recording.
    pub(super) fn perform(&self, call: &str) -> Told {
        if let Some((_, answer)) = self.answers.iter().find(|(known, _)| call.starts_with(known)) {
            return answer(self, call);
        }
        let said = Said::read(call).unwrap_or_else(|| panic!("{call} has no meaning here"));
        if let Some(memo) = self.memos.get(&*said.callee) {
            let mut args = said.bound(memo.parameters);
            for arg in &mut args {
                let known = self.objects.iter().find(|(text, _)| *arg == Py::Code((*text).into()));
                *arg = known.map_or_else(|| arg.clone(), |(_, holds)| holds.clone());
            }
            return self.run(&said.callee, &args);
        }
        let (of, verb) = said.callee.rsplit_once('.').unwrap_or_default();
        if verb.starts_with("delete_memoized") {
            let of = Said { args: vec![Py::Code(of.to_owned())], ..Said::default() };
            let said = if said.args.is_empty() { &of } else { &said };
            let done = self.delete_memoized(said).map_err(|error| error.to_string());
            return done.map(|_| Json::Null);
        }
        let cache = self.cache_of(of).unwrap_or_else(|| panic!("{call} has no meaning here"));
        verbs::perform(&cache, verb, &said).unwrap_or_else(|| panic!("{call} has no meaning here"))
    }

    pub(super) fn act(&self, what: &str) {
        let known = self.acts.iter().find(|(known, _)| what.starts_with(known));
        let (_, act) = known.unwrap_or_else(|| panic!("{what} has no meaning here"));
        act(self, what).unwrap();
    }

    pub(super) fn ask(&self, asked: &Asked) -> Answered {
        let handler = self.handler.as_ref();
        handler.unwrap_or_else(|| panic!("{asked:?} has no meaning here"))(self, asked)
    }
}
