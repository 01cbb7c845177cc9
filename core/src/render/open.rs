//! The door for engines: reads a block id and a block's arguments into a key and a request.

use std::sync::Arc;

use fragcache_syntax::{BlockHead, BlockId, BlockOption};

use super::close::{Opened, Ticket};
use super::hit::quick_hit;
use super::miss::{Caller, Context};
use super::stack::{self, Purpose};
use super::{Arguments, RenderMemo, annotate, miss};
use crate::entry::{Body, Entry, OutputMode, of_text};
use crate::error::{Error, ErrorKind};
use crate::events::{BypassReason, EventKind, RefusalReason};
use crate::handle::Handle;
use crate::hash::{HashedKey, Version};
use crate::key::{self, KeyBuffer, KeyEncoder, UnusablePart};
use crate::lookup::{QuickLookup, Request, Variant};
use crate::options::Options;
use crate::policy::ErrorPolicy;
use crate::read_point::ReadPoint;
use crate::timeout::Timeout;

/// The render that contains a cache block, as an engine extension sees it.
pub trait RenderContext {
    /// The escaping in force.
    fn mode(&self) -> OutputMode;

    /// Whether open fragments of this render are abandoned when it fails: by a
    /// [`Scope`](crate::engine::Scope), or by dropping the ticket.
    fn is_bounded(&self) -> bool;

    /// The memo of this render; `None` where the bounds of a render are unknown. Called on a miss,
    /// and by unnamed blocks.
    fn memo(&mut self) -> Option<Arc<RenderMemo>>;

    /// The read point in the render's context, if there is one. Called on a miss only.
    fn read_point(&mut self) -> Option<ReadPoint>;

    /// Whether assignments in the body would be visible outside it, so that a miss and a hit would
    /// differ. Such a block is neither read nor stored.
    fn leaves_traces(&self) -> bool {
        false
    }

    /// Wraps markup from a far store in the engine's own value.
    fn body(&self, markup: String) -> Body {
        Body::from(markup)
    }
}

/// Opens the cache block with the encoded block id `site`, for an engine extension. Ignores the
/// block's `using=`; see [`Caches::open`](crate::Caches::open).
pub(crate) fn open_block<A: Arguments + ?Sized, R>(
    cache: &Handle,
    site: &str,
    arguments: &A,
    rendering: &mut impl RenderContext,
    on_hit: impl Fn(&Body) -> R,
) -> Result<Opened<R>, Error> {
    let mut buffer = KeyBuffer::new();
    buffer.extend_from_slice(cache.prefix());
    let mode = rendering.mode();
    if cache.annotates() {
        let mode = mode.annotated();
        open_in(cache, &mut buffer, site, arguments, rendering, mode, Entry::clone).map(|opened| {
            match opened {
                Opened::Hit(entry) => {
                    let body = annotate::served(cache.hasher(), &buffer, &entry, cache.recent());
                    Opened::Hit(on_hit(&body))
                }
                Opened::Render(ticket) => Opened::Render(ticket),
            }
        })
    } else {
        let on_hit = |entry: &Entry| on_hit(&entry.body);
        open_in(cache, &mut buffer, site, arguments, rendering, mode, on_hit)
    }
}

fn open_in<A: Arguments + ?Sized, R>(
    cache: &Handle,
    buffer: &mut Vec<u8>,
    site: &str,
    arguments: &A,
    rendering: &mut impl RenderContext,
    mode: OutputMode,
    on_hit: impl Fn(&Entry) -> R,
) -> Result<Opened<R>, Error> {
    let head = BlockHead::of(site).ok_or_else(|| foreign_site(site))?;
    let positional = arguments.len().checked_sub(head.values());
    let positional = positional.ok_or_else(|| foreign_site(site))?;

    let mut version = Version::default();
    let mut options = Options {
        unless: rendering.leaves_traces(),
        scoped: rendering.is_bounded(),
        ..Options::default()
    };
    for (index, option) in head.options().enumerate() {
        let index = positional + index;
        match option {
            BlockOption::Unless => options.unless |= arguments.truthy(index),
            BlockOption::Refresh => options.refresh = arguments.truthy(index),
            BlockOption::Version => match version_at(cache, buffer, arguments, index) {
                Ok(found) => version = found,
                Err(part) => {
                    let error = unusable(0, part);
                    return refuse(cache, site, rendering, error, RefusalReason::Key);
                }
            },
            // Read by `Caches::open`, which chose this cache.
            BlockOption::Using => {}
            // An option of a later version, or one without a value here.
            _ => return Err(foreign_site(site)),
        }
    }
    if positional > 0 {
        match Timeout::from_scalar(arguments.scalar(0)) {
            Ok(timeout) => options.timeout = timeout,
            Err(error) => {
                return refuse(cache, site, rendering, error.into(), RefusalReason::Timeout);
            }
        }
    }
    let unnamed = positional < 2;
    if unnamed {
        let site = BlockId::parse(site).ok_or_else(|| foreign_site(site))?;
        key::begin_default(buffer, site.template(), site.line(), site.ordinal());
    } else {
        key::begin_explicit(buffer);
        let mut encoder = KeyEncoder::new(buffer);
        for index in 1..positional {
            if let Err(part) = arguments.encode(index, &mut encoder) {
                let error = unusable(index, part);
                return refuse(cache, site, rendering, error, RefusalReason::Key);
            }
        }
    }
    let hashed = HashedKey { hash: cache.hasher().key(buffer), key: buffer };
    let again = |memo: Arc<RenderMemo>| memo.opens_again(hashed.hash);
    if unnamed && rendering.memo().is_some_and(again) {
        note_repeat(cache, site, mode, hashed)?;
    }
    let variant = Variant { digest: head.digest(), mode, version };
    let quick = QuickLookup { hashed, variant, options: &options };
    let missed = match quick_hit(cache, &quick, &on_hit) {
        Some(Ok(value)) => return Ok(Opened::Hit(value)),
        missed => missed.and_then(Result::err),
    };
    let parsed = BlockId::parse(site).ok_or_else(|| foreign_site(site))?;
    let source = &cache.sources().get(site, &parsed, mode, cache.hasher());
    let point = rendering.read_point();
    let memo = cache.far().and_then(|_| rendering.memo());
    let body = |bytes| of_text(bytes, |markup| rendering.body(markup));
    let context = Context { body: &body, memo: memo.as_deref(), point };
    Ok(miss::open(cache, quick.request(source), context, missed, on_hit))
}

/// The version at `index`, encoded in the buffer's free room.
fn version_at<A: Arguments + ?Sized>(
    cache: &Handle,
    buffer: &mut Vec<u8>,
    arguments: &A,
    index: usize,
) -> Result<Version, UnusablePart> {
    let start = buffer.len();
    let encoded = arguments.encode(index, &mut KeyEncoder::new(buffer));
    let version = cache.hasher().version(&buffer[start..]);
    buffer.truncate(start);
    encoded.map(|()| version)
}

/// Handles unusable arguments: an error, or a render without the cache.
pub(crate) fn refuse<R>(
    cache: &Handle,
    site: &str,
    rendering: &mut impl RenderContext,
    error: Error,
    reason: RefusalReason,
) -> Result<Opened<R>, Error> {
    let parsed = BlockId::parse(site).ok_or_else(|| foreign_site(site))?;
    let mode = rendering.mode();
    let mode = if cache.annotates() { mode.annotated() } else { mode };
    let source = &cache.sources().get(site, &parsed, mode, cache.hasher());
    cache.emit(EventKind::Refused(reason), None, source);
    match cache.policy().bad_arguments {
        ErrorPolicy::Error => Err(error.at(parsed.template(), parsed.line(), parsed.column())),
        ErrorPolicy::Uncached => {
            cache.emit(EventKind::Bypassed(BypassReason::Refused), None, source);
            let hashed = HashedKey { hash: 0, key: &[] };
            let options = Options { scoped: rendering.is_bounded(), ..Options::default() };
            let request = Request { hashed, source, version: Version::default(), options };
            // The fragments inside need the read point.
            let point = rendering.read_point();
            let body = |bytes| of_text(bytes, Body::from);
            let context = Context { body: &body, memo: None, point };
            let veto = Some(RefusalReason::Vetoed);
            let frame = Caller::new(cache, request, context).frame(Purpose::Print, None, veto);
            Ok(Opened::Render(Ticket::new(stack::push(frame))))
        }
    }
}

fn note_repeat(
    cache: &Handle,
    site: &str,
    mode: OutputMode,
    hashed: HashedKey<'_>,
) -> Result<(), Error> {
    let parsed = BlockId::parse(site).ok_or_else(|| foreign_site(site))?;
    let source = cache.sources().get(site, &parsed, mode, cache.hasher());
    cache.emit(EventKind::Repeated, Some(hashed.key), &source);
    if cache.policy().repeated_is_error {
        return Err(Error::new(
            ErrorKind::Repeated,
            "an unnamed cache block ran twice in one render, and all its runs share one entry; \
             give it a name and the parts it varies on: {% cache 300, \"row\", item.id %}",
        )
        .at(parsed.template(), parsed.line(), parsed.column()));
    }
    Ok(())
}

fn foreign_site(site: &str) -> Error {
    let shown: String = site.chars().take(40).collect();
    Error::new(
        ErrorKind::Config,
        format!(
            "{shown:?} is not the id of a cache block; the filters of this cache work in rewritten \
             templates only: use {{% cache … %}} and load the template through fragcache"
        ),
    )
}

fn unusable(index: usize, part: UnusablePart) -> Error {
    let what = match index {
        0 => "the version".to_owned(),
        1 => "the name of the key".to_owned(),
        2 => "the first vary part of the key".to_owned(),
        3 => "the second vary part of the key".to_owned(),
        n => format!("vary part {} of the key", n - 1),
    };
    let advice = match part {
        UnusablePart::Undefined if index == 0 => {
            "an entry of any version would be served; write what changes with the record, such as \
             `post.updated_at`, or leave the option out"
        }
        UnusablePart::Undefined => {
            "everyone would share one fragment; write a default such as `user.id | \
             default(\"anon\")` (in Tera `default(value=\"anon\")`), or none if missing is a \
             value of its own"
        }
        UnusablePart::NotFinite => "it does not identify a value; write a finite number",
        UnusablePart::TooDeep => "write the values that the fragment depends on one by one",
        UnusablePart::Kind(_) => {
            "it has no unique text; write the values that the fragment depends on, such as \
             `user.id`"
        }
    };
    Error::new(ErrorKind::Key, format!("{what} is {part}: {advice}"))
}
