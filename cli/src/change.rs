//! Commands that change something: delete, invalidate, clear, mode, sweep. None
//! reports success before the store has confirmed it.

use std::time::Duration;

use clap::ValueEnum;
use fragcache::admin::{Admin, FLEET_MODE_TTL};

use fragcache::events::MissReason;
use fragcache::key::KeyKind;
use fragcache::{CacheMode, Error, FragmentCache, Invalidation};
use serde_json::json;

use crate::keys::{self, Meant, Pattern};
use crate::look::each_page;
use crate::open::Opened;
use crate::options::{Clear, Command, Delete, FleetMode, Get, Invalidate, Kind, Switch};
use crate::say::{Say, Stop, complain, instant, shown, time};

/// Poll interval while invalidations are pending.
const PAUSE: Duration = Duration::from_millis(20);

/// Refuses invalid or dangerous commands before the store is opened.
pub(crate) fn refuse_before(command: &Command) -> Result<(), Stop> {
    match command {
        Command::Clear(Clear { yes: false, place }) if place.namespace.is_none() => {
            Err(Stop::Usage(
                "this would clear the whole cache; write --yes if you mean it, or --namespace NAME"
                    .to_owned(),
            ))
        }
        Command::Delete(Delete { matching: Some(pattern), dry_run: false, .. })
            if pattern.chars().all(|c| c == '*') =>
        {
            Err(Stop::Usage(
                "this pattern matches everything; write clear, which takes one round trip"
                    .to_owned(),
            ))
        }
        Command::Mode(Switch { mode: Some(FleetMode::Normal), ttl: Some(_) }) => {
            Err(Stop::Usage("normal needs no time; leave out --for".to_owned()))
        }
        Command::Delete(Delete { key, .. }) | Command::Get(Get { key, .. }) => {
            keys::refuse_before(key)
        }
        _ => Ok(()),
    }
}

/// Refuses to change a store that these settings do not match. With a secret of opaque
/// keys other than the application's, all labels differ, and a deletion would be reported
/// as done without any effect. With another `mac_key`, it would invalidate everything.
fn refuse_strangers(opened: &Opened, silent: fn(Error) -> Stop) -> Result<(), Stop> {
    match opened.admin.is_in_use() {
        Ok(true) => return Ok(()),
        // There is no time to try again.
        Err(error) if opened.left().is_zero() => return Err(silent(error)),
        // The next call reports a store that does not answer.
        Err(_) => return Ok(()),
        Ok(false) => {}
    }
    let mut cursor = None;
    loop {
        let page = opened.admin.records(cursor.as_deref())?;
        if page.versions > 0 {
            return Err(Stop::Failed(
                "the store has a cache of this prefix with another secret, so this would not \
                 delete the right entries; use the mac_key and the opaque_keys of the application"
                    .to_owned(),
            ));
        }
        cursor = page.next;
        if cursor.is_none() {
            complain(EMPTY);
            return Ok(());
        }
    }
}

/// Printed when nothing was found, because the prefix or store may be the wrong one.
const EMPTY: &str = "note: no cache of this prefix has stored anything here";

pub(crate) fn delete(opened: &Opened, delete: &Delete, say: &mut Say) -> Result<(), Stop> {
    let cache = opened.place(&delete.place)?;
    if let Some(pattern) = &delete.matching {
        // A read that fails is an error, not pending: nothing has been published yet.
        refuse_strangers(opened, Stop::from)?;
        let glob = Pattern::new(Some(pattern), delete.kind)?;
        return delete_matching(opened, &cache, &glob, delete.dry_run, say);
    }
    refuse_strangers(opened, untold)?;
    if let Some(name) = &delete.name {
        return delete_named(opened, &Admin::new(&cache)?, name, delete.kind, say);
    }
    let meant = Meant::new(&delete.key, delete.kind, &cache)?;
    let deletion = match &meant {
        Meant::Key(key) => cache.delete(key),
        Meant::Template(template) => cache.delete_template(template),
        Meant::Named(kind, name) => Admin::new(&cache)?.delete_named((*kind).into(), name),
        Meant::Path(view, path) => cache.delete_view(view, path),
    };
    done(opened, deletion, &meant.to_string(), say)?;
    let note = match &meant {
        Meant::Key(_) if deletion == Invalidation::Absent => {
            keys::other_kinds(&delete.key, delete.kind, &cache)?
        }
        Meant::Path(_, path) if !path.starts_with('/') => Some(
            "a path begins with a slash, unless the view has a key function that returns something \
             else",
        ),
        _ => None,
    };
    if let Some(note) = note {
        complain(&format!("note: {note}"));
    }
    Ok(())
}

/// Deletes everything with a name, of one kind or of all.
fn delete_named(
    opened: &Opened,
    admin: &Admin,
    name: &str,
    kind: Option<Kind>,
    say: &mut Say,
) -> Result<(), Stop> {
    let kinds = kind.map_or(Kind::value_variants().to_vec(), |kind| vec![kind]);
    let mut deletion = Invalidation::Invalidated;
    for kind in kinds {
        if admin.delete_named(kind.into(), name) == Invalidation::Pending {
            deletion = Invalidation::Pending;
        }
    }
    let what = kind.map_or("name", |kind| KeyKind::from(kind).as_str());
    done(opened, deletion, &format!("{what} {}", shown(name)), say)
}

fn delete_matching(
    opened: &Opened,
    cache: &FragmentCache,
    glob: &Pattern,
    dry_run: bool,
    say: &mut Say,
) -> Result<(), Stop> {
    glob.refuse_names(cache)?;
    let admin = Admin::new(cache)?;
    let mut found = 0_u64;
    let count = each_page(&admin, |mut page| {
        let is_live = |miss| matches!(miss, None | Some(MissReason::Expired));
        page.entries.retain(|entry| is_live(entry.miss) && glob.matches(entry));
        if !dry_run && !page.entries.is_empty() {
            admin.delete(&page.entries).eventually();
            settle_pending(opened, opened.deadline).map_err(|stop| match stop {
                Stop::Pending(why) => {
                    Stop::Pending(format!("{why}; {found} entries were deleted before that"))
                }
                other => other,
            })?;
        }
        found += page.entries.len() as u64;
        Ok(())
    })?;
    settle(opened)?;
    let word = if dry_run { "would delete" } else { "deleted" };
    say.line(
        &format!("{word} {found} of {count} entries"),
        vec![("dry_run", json!(dry_run)), ("matching", json!(found)), ("scanned", json!(count))],
    )
}

pub(crate) fn invalidate(opened: &Opened, given: &Invalidate, say: &mut Say) -> Result<(), Stop> {
    let cache = opened.place(&given.place)?;
    refuse_strangers(opened, untold)?;
    let deletion = cache.invalidate_tags(&given.tags)?;
    let tags: Vec<String> = given.tags.iter().map(|tag| shown(tag)).collect();
    done(opened, deletion, &format!("tags {}", tags.join(" ")), say)
}

pub(crate) fn clear(opened: &Opened, clear: &Clear, say: &mut Say) -> Result<(), Stop> {
    let cache = opened.place(&clear.place)?;
    refuse_strangers(opened, untold)?;
    let what = match &clear.place.namespace {
        Some(namespace) => format!("namespace {}", shown(namespace)),
        None => "everything".to_owned(),
    };
    done(opened, cache.clear(), &what, say)
}

pub(crate) fn mode(opened: &Opened, switch: &Switch, say: &mut Say) -> Result<(), Stop> {
    let Some(wanted) = switch.mode.map(CacheMode::from) else {
        let mode = opened.admin.fleet_mode()?.as_str();
        if let Some(fault) = opened.admin.fleet_mode_fault()? {
            complain(&format!("note: {fault}"));
        }
        return say.line(mode, vec![("mode", json!(mode))]);
    };
    match opened.admin.signs_alike() {
        Ok(false) => {
            return Err(Stop::Failed(
                "the store has a cache of this prefix with another mac_key, so no process would \
                 follow; use the mac_key of the application"
                    .to_owned(),
            ));
        }
        // There is no time to try again.
        Err(error) if opened.left().is_zero() => return Err(untold(error)),
        // The next call reports a store that does not answer.
        Ok(true) | Err(_) => {}
    }
    let ttl = switch.ttl.unwrap_or(FLEET_MODE_TTL);
    opened.admin.set_fleet_mode(wanted, ttl).map_err(|error| match error.kind() {
        fragcache::ErrorKind::Store => Stop::Pending(format!("{error}; {AGAIN}")),
        _ => Stop::Usage(error.to_string()),
    })?;
    if !opened.admin.is_in_use().unwrap_or(true) {
        complain(EMPTY);
    }
    let word = wanted.as_str();
    if wanted == CacheMode::Normal {
        let text = format!("{word}: all processes follow within two seconds");
        return say.line(&text, vec![("mode", json!(word))]);
    }
    let text =
        format!("{word} for {}, then normal: all processes follow within two seconds", time(ttl));
    say.line(&text, vec![("mode", json!(word)), ("for_seconds", json!(ttl.as_secs()))])
}

pub(crate) fn sweep(opened: &Opened, say: &mut Say) -> Result<(), Stop> {
    let store = opened.admin.capabilities()?.name;
    if !["file", "sqlite"].contains(&store) {
        let text = format!("there is nothing to sweep: {store} removes expired records by itself");
        return say.line(&text, vec![("store", json!(store)), ("removed", json!(0))]);
    }
    let removed = opened.admin.sweep()?;
    let text = format!("removed {removed} expired records");
    say.line(&text, vec![("store", json!(store)), ("removed", json!(removed))])
}

/// Printed for an invalidation that is still pending when the process ends.
const AGAIN: &str = "the command may not have taken effect, and is not retried: repeat the command";

/// The store did not answer in time, so nothing was published.
#[allow(clippy::needless_pass_by_value, reason = "as `Stop::from`")]
fn untold(error: Error) -> Stop {
    Stop::Pending(format!("{error}; {AGAIN}"))
}

/// Printed after a deletion that does not look up the entries, such as one by name.
/// The store cannot report that a name does not exist.
const UNCOUNTED: &str = "; the number of entries is not known and may be 0";

/// Prints the result of a deletion, after the store has confirmed it.
fn done(opened: &Opened, deletion: Invalidation, what: &str, say: &Say) -> Result<(), Stop> {
    settle(opened)?;
    let (word, rest) = match deletion {
        Invalidation::Removed => ("removed", ""),
        Invalidation::Absent => ("absent", ""),
        _ => ("invalidated", UNCOUNTED),
    };
    say.line(&format!("{word} {what}{rest}"), vec![("done", json!(word)), ("what", json!(what))])
}

/// Waits for pending invalidations, which the cache retries by itself, and for those
/// that are published again after the lag of a replica. After this process has
/// ended, none of them would be published.
fn settle(opened: &Opened) -> Result<(), Stop> {
    settle_pending(opened, opened.left())?;
    while opened.cache.health().waiting_repeats > 0 {
        std::thread::park_timeout(PAUSE);
    }
    settle_pending(opened, opened.deadline)
}

/// Waits at most `limit` for pending invalidations.
fn settle_pending(opened: &Opened, limit: Duration) -> Result<(), Stop> {
    let start = instant();
    while opened.cache.health().pending_invalidations > 0 {
        let left = limit.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(Stop::Pending(format!("{}; {AGAIN}", opened.silence())));
        }
        std::thread::park_timeout(left.min(PAUSE));
    }
    Ok(())
}
