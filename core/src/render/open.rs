//! Opening a cache block: arguments to key, key to entry, and on a miss a frame for the body.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use super::stack::{self, Frame, Inherited, Purpose};
use super::{Arguments, Ticket};
use crate::cache::FragmentCache;
use crate::clock::Moment;
use crate::entry::{Body, Entry, KeyBytes, Origin, OutputMode, digest_of};
use crate::error::{Error, ErrorKind};
use crate::flight::Joined;
use crate::fresh::DependencySet;
use crate::key::{self, KeyEncoder, MAX_KEY_BYTES, UnusablePart};
use crate::near::Probe;
use crate::observe::{BypassReason, EventKind, MissReason, RefusalReason};
use crate::policy::{Mode, OnMistake};
use crate::protection::Protection;
use crate::sync::thread_local;
use crate::syntax::site::{DIGEST_LEN, Site};
use crate::timeout::Timeout;

/// What a cache block is to do.
#[derive(Debug)]
pub enum Opened<R> {
    /// Print this; the body is not needed.
    Hit(R),
    /// Render the body, then close the ticket with it.
    Render(Ticket),
}

/// A block's wishes after its arguments were read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) timeout: Timeout,
    pub(crate) unless: bool,
    pub(crate) refresh: bool,
    /// Whether someone gives up this render's open fragments when it fails.
    pub(crate) scoped: bool,
}

/// How often a caller that received an outdated render of another's tries again.
const ATTEMPTS: usize = 3;

thread_local! {
    /// Where keys are encoded; kept so that a hit allocates nothing.
    static KEY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl FragmentCache {
    /// Opens the cache block whose encoded site is `site`, for an engine extension.
    ///
    /// `on_hit` turns a stored body into what the engine prints; it runs under a lock and must do
    /// no more than that. `bounded` tells whether someone gives up what this render leaves open
    /// when it fails (a [`Scope`], or the ticket's own drop); `opens_again` whether this render has
    /// opened the unnamed block with the given number before (see [`RenderMemo`]).
    ///
    /// [`Scope`]: crate::engine::Scope
    /// [`RenderMemo`]: crate::engine::RenderMemo
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`], [`ErrorKind::Key`] or [`ErrorKind::Repeated`], with the block's
    /// place, as the cache's [`Policy`](crate::Policy) has it; [`ErrorKind::Config`] for a site
    /// that no rewriter wrote.
    pub fn open<A: Arguments + ?Sized, R>(
        &self,
        site: &str,
        arguments: &A,
        mode: OutputMode,
        bounded: bool,
        opens_again: impl FnOnce(u64) -> bool,
        on_hit: impl Fn(&Body) -> R,
    ) -> Result<Opened<R>, Error> {
        let mut buffer = KEY.with(RefCell::take);
        buffer.clear();
        let outcome =
            self.open_in(&mut buffer, site, arguments, mode, bounded, opens_again, on_hit);
        KEY.with(|key| key.replace(buffer));
        outcome
    }

    #[allow(clippy::too_many_arguments, reason = "`open` and its buffer")]
    fn open_in<A: Arguments + ?Sized, R>(
        &self,
        buffer: &mut Vec<u8>,
        site: &str,
        arguments: &A,
        mode: OutputMode,
        bounded: bool,
        opens_again: impl FnOnce(u64) -> bool,
        on_hit: impl Fn(&Body) -> R,
    ) -> Result<Opened<R>, Error> {
        let digest = digest_of(site).ok_or_else(|| foreign_site(site))?;
        let options = option_letters(site);
        let positional = arguments.len().checked_sub(options.len());
        let positional = positional.ok_or_else(|| foreign_site(site))?;

        let mut request =
            Request { timeout: Timeout::Default, unless: false, refresh: false, scoped: bounded };
        for (index, letter) in options.bytes().enumerate() {
            let value = arguments.truthy(positional + index);
            match letter {
                b'u' => request.unless = value,
                _ => request.refresh = value,
            }
        }
        if positional > 0 {
            match Timeout::from_scalar(arguments.scalar(0)) {
                Ok(timeout) => request.timeout = timeout,
                Err(error) => {
                    return self.refuse(site, mode, error, RefusalReason::Timeout, request);
                }
            }
        }
        let unnamed = positional < 2;
        if unnamed {
            let site = Site::parse(site).ok_or_else(|| foreign_site(site))?;
            key::begin_default(buffer, &site.template, site.line, site.ordinal);
        } else {
            key::begin_explicit(buffer);
            let mut encoder = KeyEncoder::new(buffer);
            for index in 1..positional {
                if let Err(part) = arguments.encode(index, &mut encoder) {
                    return self.refuse(
                        site,
                        mode,
                        unusable(index, part),
                        RefusalReason::Key,
                        request,
                    );
                }
            }
        }
        let probe = Probe { hash: self.hasher().key(buffer), key: buffer };
        if unnamed && opens_again(probe.hash) {
            self.note_repeat(site, mode, probe)?;
        }
        let missed = match self.quick_hit(probe, (digest, mode), request, &on_hit) {
            Some(Ok(value)) => return Ok(Opened::Hit(value)),
            Some(Err(reason)) => Some(reason),
            None => None,
        };
        let parsed = Site::parse(site).ok_or_else(|| foreign_site(site))?;
        let origin = self.origins().get(site, &parsed, mode, self.hasher());
        Ok(self.open_slow(probe, &origin, request, missed, on_hit))
    }

    /// The way of a hit, for a block that asks for nothing special; `None` if this is not such a
    /// case.
    pub(crate) fn quick_hit<R>(
        &self,
        probe: Probe<'_>,
        variant: (&str, OutputMode),
        request: Request,
        on_hit: impl Fn(&Body) -> R,
    ) -> Option<Result<R, MissReason>> {
        let plain = !request.unless && !request.refresh && request.timeout != Timeout::Delete;
        if !plain || !self.reads() {
            return None;
        }
        let near = self.near()?;
        // Only a fragment around this one, or an observer, wants more than the body.
        let told = stack::depth() > 0 || self.has_observer();
        let on_entry = |entry: &Entry| (on_hit(&entry.body), told.then(|| entry.clone()));
        let found = near.lookup(probe, variant, self.fresh(), &|| self.recent(), on_entry);
        Some(found.map(|(value, entry)| {
            if let Some(entry) = entry {
                self.pass_on(probe, &entry);
                self.emit(EventKind::Hit, Some(probe.key), &entry.origin);
            }
            value
        }))
    }

    /// Tells the fragment around this one what it depends on by printing `entry`.
    fn pass_on(&self, probe: Probe<'_>, entry: &Entry) {
        let labels = self.hasher().labels(probe.key, probe.hash, entry.origin.template_label);
        stack::with_top(|outer| outer.inherit(&Inherited::from_entry(self, &labels, entry)));
    }

    /// Everything else: misses, waits, and bypasses.
    ///
    /// `missed` is the reason of a lookup that was made already.
    pub(crate) fn open_slow<R>(
        &self,
        probe: Probe<'_>,
        origin: &Arc<Origin>,
        request: Request,
        missed: Option<MissReason>,
        on_hit: impl Fn(&Body) -> R,
    ) -> Opened<R> {
        let emit = |kind| self.emit(kind, Some(probe.key), origin);
        let render = |purpose, veto, events: &[EventKind]| {
            // Made before anyone is told: if an observer panics, its drop gives up the flight.
            let frame = self.frame(probe, origin, request, purpose, veto);
            for &kind in events {
                emit(kind);
            }
            Opened::Render(Ticket::new(stack::push(frame)))
        };
        let print = |reason| render(Purpose::Print, None, &[EventKind::Bypassed(reason)]);
        let veto = |reason| {
            let veto = Some(RefusalReason::Vetoed);
            render(Purpose::Print, veto, &[EventKind::Bypassed(reason)])
        };
        let Some(near) = self.near() else { return print(BypassReason::Mode) };
        if request.timeout == Timeout::Delete {
            self.delete_encoded(probe.key);
            return veto(BypassReason::Delete);
        }
        if request.unless {
            return veto(BypassReason::Unless);
        }
        let mode = self.mode();
        if mode == Mode::Bypass {
            return print(BypassReason::Mode);
        }
        if probe.key.len() > MAX_KEY_BYTES {
            let refused = EventKind::Refused(RefusalReason::KeyTooLong);
            return render(Purpose::Print, None, &[refused]);
        }
        let labels = self.hasher().labels(probe.key, probe.hash, origin.template_label);
        // A failed render that nobody bounds may have left this very fragment open.
        stack::abandon_leftover(probe.hash, origin);
        if request.refresh && mode == Mode::Normal {
            let flight = self.flights().lead_anew(probe, origin, &labels, self.fresh());
            return render(Purpose::Store(flight), None, &[EventKind::Miss(MissReason::Refresh)]);
        }
        let look = || {
            let variant = (origin.digest(), origin.mode());
            near.lookup(probe, variant, self.fresh(), &|| self.recent(), Entry::clone)
        };
        let serve = |entry: &Entry, kind| {
            self.pass_on(probe, entry);
            emit(kind);
            Opened::Hit(on_hit(&entry.body))
        };
        let (mut missed, mut first_reason) = (missed, None);
        let mut deadline = None;
        for _ in 0..ATTEMPTS {
            let reason = match missed.take().map_or_else(look, Err) {
                Ok(entry) => return serve(&entry, EventKind::Hit),
                Err(reason) => *first_reason.get_or_insert(reason),
            };
            let miss = EventKind::Miss(reason);
            if mode == Mode::ReadOnly {
                let bypassed = EventKind::Bypassed(BypassReason::ReadOnly);
                return render(Purpose::Print, None, &[miss, bypassed]);
            }
            let began = self.moment();
            let deadline = *deadline.get_or_insert_with(|| self.flights().deadline());
            match self.flights().join(probe, origin, &labels, self.fresh(), began, deadline) {
                Joined::Lead(flight) => {
                    // Another leader may have landed since the lookup.
                    if self.protections().keep(Protection::SecondLook)
                        && let Ok(entry) = look()
                    {
                        self.flights().land(&flight, entry.clone());
                        return serve(&entry, EventKind::Hit);
                    }
                    return render(Purpose::Store(flight), None, &[miss]);
                }
                Joined::Pass(flight) => {
                    let bypassed = EventKind::Bypassed(BypassReason::Unshared);
                    return render(Purpose::Store(flight), None, &[miss, bypassed]);
                }
                Joined::Alone(alone) => {
                    return render(Purpose::Print, None, &[miss, EventKind::Bypassed(alone)]);
                }
                Joined::Follow(entry) => {
                    // The leader may have used fragments that were invalidated before this
                    // caller came.
                    let dependencies = entry.dependencies.as_deref();
                    if !self.protections().keep(Protection::FollowerCheck)
                        || self.fresh().holds(&labels, dependencies, entry.read)
                    {
                        emit(miss);
                        let waited = self.moment().since(began);
                        return serve(&entry, EventKind::Waited(waited));
                    }
                }
                Joined::Again => {}
            }
        }
        let bypassed = EventKind::Bypassed(BypassReason::WaitLimit);
        match first_reason.map(EventKind::Miss) {
            Some(miss) => render(Purpose::Print, None, &[miss, bypassed]),
            None => render(Purpose::Print, None, &[bypassed]),
        }
    }

    fn frame(
        &self,
        probe: Probe<'_>,
        origin: &Arc<Origin>,
        request: Request,
        purpose: Purpose,
        veto: Option<RefusalReason>,
    ) -> Frame {
        Frame {
            id: stack::next_id(),
            cache: self.clone(),
            purpose,
            key: KeyBytes::from_slice(probe.key),
            hash: probe.hash,
            origin: Arc::clone(origin),
            labels: self.hasher().labels(probe.key, probe.hash, origin.template_label),
            read: self.fresh().now(),
            started: self.moment(),
            life: self.life(request.timeout),
            inner: DependencySet::default(),
            inner_expires: Moment::NEVER,
            veto,
            scoped: request.scoped,
        }
    }

    fn life(&self, timeout: Timeout) -> Option<Duration> {
        match timeout {
            Timeout::Default | Timeout::Delete => self.default_life(),
            Timeout::Never => None,
            Timeout::After(life) => Some(life),
        }
    }

    /// Unusable arguments: an error, or a render without the cache.
    fn refuse<R>(
        &self,
        site: &str,
        mode: OutputMode,
        error: Error,
        reason: RefusalReason,
        request: Request,
    ) -> Result<Opened<R>, Error> {
        let parsed = Site::parse(site).ok_or_else(|| foreign_site(site))?;
        let origin = self.origins().get(site, &parsed, mode, self.hasher());
        self.emit(EventKind::Refused(reason), None, &origin);
        match self.policy().bad_arguments {
            OnMistake::Error => Err(error.at(&parsed.template, parsed.line, parsed.column)),
            OnMistake::Uncached => {
                self.emit(EventKind::Bypassed(BypassReason::Refused), None, &origin);
                let probe = Probe { hash: 0, key: &[] };
                let veto = Some(RefusalReason::Vetoed);
                let frame = self.frame(probe, &origin, request, Purpose::Print, veto);
                Ok(Opened::Render(Ticket::new(stack::push(frame))))
            }
        }
    }

    fn note_repeat(&self, site: &str, mode: OutputMode, probe: Probe<'_>) -> Result<(), Error> {
        let parsed = Site::parse(site).ok_or_else(|| foreign_site(site))?;
        let origin = self.origins().get(site, &parsed, mode, self.hasher());
        self.emit(EventKind::Repeated, Some(probe.key), &origin);
        if self.policy().repeated_is_error {
            return Err(Error::new(
                ErrorKind::Repeated,
                "an unnamed cache block was opened twice in one render, so its rounds share one \
                 entry; give it a name and what it varies on: {% cache 300, \"row\", item.id %}",
            )
            .at(&parsed.template, parsed.line, parsed.column));
        }
        Ok(())
    }
}

/// The option letters of an encoded site.
fn option_letters(site: &str) -> &str {
    let rest = &site[DIGEST_LEN..];
    let end = rest.bytes().position(|byte| byte == b':');
    end.map_or("", |end| &rest[..end])
}

fn foreign_site(site: &str) -> Error {
    let shown: String = site.chars().take(40).collect();
    Error::new(
        ErrorKind::Config,
        format!(
            "{shown:?} is not a cache block's site; the filters of this cache are for rewritten \
             templates only, use {{% cache … %}} and load the template through fragcache"
        ),
    )
}

fn unusable(index: usize, part: UnusablePart) -> Error {
    let what = match index {
        1 => "the name".to_owned(),
        2 => "the first vary part".to_owned(),
        3 => "the second vary part".to_owned(),
        n => format!("vary part {}", n - 1),
    };
    let advice = match part {
        UnusablePart::Undefined => {
            "everyone would share one fragment; write a default such as `user.id | \
             default(\"anon\")` (in Tera `default(value=\"anon\")`), or none if missing is a \
             value of its own"
        }
        UnusablePart::NotFinite => "it equals nothing, not even itself; write a finite number",
        UnusablePart::TooDeep => "write the values that the fragment depends on one by one",
        UnusablePart::Kind(_) => {
            "it has no one text; write the values that the fragment depends on, such as `user.id`"
        }
    };
    Error::new(ErrorKind::Key, format!("{what} of the key is {part}: {advice}"))
}
