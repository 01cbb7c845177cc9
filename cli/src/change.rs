//! Commands that change something: delete, invalidate, clear, mode, sweep. None says that it is done
//! before the store has said so.

use std::time::{Duration, Instant};

use fragcache::admin::{Admin, FLEET_MODE_LIFE};
use fragcache::{Deletion, FragmentCache, MissReason, Mode};
use serde_json::json;

use crate::keys::{self, Pattern};
use crate::look::{each_page, instant};
use crate::open::Opened;
use crate::options::{Clear, Command, Delete, FleetMode, Get, Invalidate, Switch};
use crate::say::{Say, Stop, complain, shown, time};

/// How long to wait before looking again whether the store has been told.
const PAUSE: Duration = Duration::from_millis(20);

/// Refuses what is not meant before anything is opened.
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
        Command::Mode(Switch { mode: Some(FleetMode::Normal), life: Some(_) }) => {
            Err(Stop::Usage("normal needs no time; leave out --for".to_owned()))
        }
        Command::Delete(Delete { key, .. }) | Command::Get(Get { key, .. }) => {
            keys::refuse_before(key)
        }
        _ => Ok(()),
    }
}

/// Refuses to change what these settings do not reach: with another secret than the application's all
/// labels are others, and a deletion would be reported as done that reaches nobody.
fn refuse_strangers(opened: &Opened) -> Result<(), Stop> {
    // A store that does not answer is told of by what comes next.
    if opened.admin.is_in_use().unwrap_or(true) {
        return Ok(());
    }
    let mut cursor = None;
    loop {
        let page = opened.admin.records(cursor.as_deref())?;
        if page.versions > 0 {
            return Err(Stop::Failed(
                "the store holds a cache of this prefix whose secret is another, so that nothing \
                 would be deleted; give the mac_key of the application, and its opaque_keys"
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

/// Told where nothing is, as it may be the wrong place.
const EMPTY: &str = "note: no cache of this prefix has stored anything here";

pub(crate) fn delete(opened: &Opened, delete: &Delete, say: &mut Say) -> Result<(), Stop> {
    let start = instant();
    let cache = opened.place(&delete.place)?;
    refuse_strangers(opened)?;
    if let Some(pattern) = &delete.matching {
        return delete_matching(opened, &cache, pattern, delete.dry_run, say);
    }
    if let Some(key) = keys::key(&delete.key)? {
        return done(opened, start, cache.delete(&key)?, &key.to_string(), say);
    }
    if let Some(name) = &delete.name {
        let what = format!("fragments named {}", shown(name));
        return done(opened, start, cache.delete_name(name)?, &what, say);
    }
    let template = delete.key.template.as_deref().unwrap_or_default();
    let what = format!("template {}", shown(template));
    done(opened, start, cache.delete_template(template)?, &what, say)
}

fn delete_matching(
    opened: &Opened,
    cache: &FragmentCache,
    pattern: &str,
    dry_run: bool,
    say: &mut Say,
) -> Result<(), Stop> {
    let glob = Pattern::new(Some(pattern))?;
    glob.refuse_names(cache)?;
    let admin = Admin::new(cache)?;
    let mut found = 0_u64;
    let count = each_page(&admin, |mut page| {
        let is_live = |miss| matches!(miss, None | Some(MissReason::Expired));
        page.entries.retain(|entry| is_live(entry.miss) && glob.matches(entry));
        if !dry_run && !page.entries.is_empty() {
            let start = instant();
            let deletion = admin.delete(&page.entries)?;
            settle(opened, start, deletion).map_err(|stop| match stop {
                Stop::Pending(why) => {
                    Stop::Pending(format!("{why}; {found} entries were deleted before"))
                }
                other => other,
            })?;
        }
        found += page.entries.len() as u64;
        Ok(())
    })?;
    let word = if dry_run { "would delete" } else { "deleted" };
    say.line(
        &format!("{word} {found} of {count} entries"),
        vec![("dry_run", json!(dry_run)), ("matching", json!(found)), ("scanned", json!(count))],
    )
}

pub(crate) fn invalidate(opened: &Opened, given: &Invalidate, say: &mut Say) -> Result<(), Stop> {
    let start = instant();
    let cache = opened.place(&given.place)?;
    refuse_strangers(opened)?;
    let deletion = cache.invalidate_tags(&given.tags)?;
    let tags: Vec<String> = given.tags.iter().map(|tag| shown(tag)).collect();
    done(opened, start, deletion, &format!("tags {}", tags.join(" ")), say)
}

pub(crate) fn clear(opened: &Opened, clear: &Clear, say: &mut Say) -> Result<(), Stop> {
    let start = instant();
    let cache = opened.place(&clear.place)?;
    refuse_strangers(opened)?;
    let what = match &clear.place.namespace {
        Some(namespace) => format!("namespace {}", shown(namespace)),
        None => "everything".to_owned(),
    };
    done(opened, start, cache.clear()?, &what, say)
}

pub(crate) fn mode(opened: &Opened, switch: &Switch, say: &mut Say) -> Result<(), Stop> {
    let Some(wanted) = switch.mode.map(Mode::from) else {
        let mode = opened.admin.fleet_mode()?.as_str();
        return say.line(mode, vec![("mode", json!(mode))]);
    };
    let life = switch.life.unwrap_or(FLEET_MODE_LIFE);
    opened.admin.set_fleet_mode(wanted, life).map_err(|error| match error.kind() {
        fragcache::ErrorKind::Store => Stop::Pending(format!("{error}; {AGAIN}")),
        _ => Stop::Usage(error.to_string()),
    })?;
    if !opened.admin.is_in_use().unwrap_or(true) {
        complain(EMPTY);
    }
    let word = wanted.as_str();
    if wanted == Mode::Normal {
        let text = format!("{word}: all processes follow within two seconds");
        return say.line(&text, vec![("mode", json!(word))]);
    }
    let text =
        format!("{word} for {}, then normal: all processes follow within two seconds", time(life));
    say.line(&text, vec![("mode", json!(word)), ("for_seconds", json!(life.as_secs()))])
}

pub(crate) fn sweep(opened: &Opened, say: &mut Say) -> Result<(), Stop> {
    let store = opened.admin.capabilities()?.name;
    if store != "file" {
        let text = format!(
            "there is nothing to sweep: {store} removes records by itself when their life is over"
        );
        return say.line(&text, vec![("store", json!(store)), ("removed", json!(0))]);
    }
    let removed = opened.admin.sweep()?;
    let text = format!("removed {removed} records that were over");
    say.line(&text, vec![("store", json!(store)), ("removed", json!(removed))])
}

/// What a process that ends is to say of an invalidation that is pending.
const AGAIN: &str = "nothing is known to be done, and this process does not try again: repeat the \
                     command";

/// Says what a deletion did, once the store knows.
fn done(
    opened: &Opened,
    start: Instant,
    deletion: Deletion,
    what: &str,
    say: &Say,
) -> Result<(), Stop> {
    settle(opened, start, deletion)?;
    let word = match deletion {
        Deletion::Removed => "removed",
        Deletion::Absent => "absent",
        _ => "invalidated",
    };
    say.line(&format!("{word} {what}"), vec![("done", json!(word)), ("what", json!(what))])
}

/// Waits for what is pending, as the cache tries again by itself: until the deadline, counted from
/// `start`, so that a store that does not answer takes it once.
fn settle(opened: &Opened, start: Instant, deletion: Deletion) -> Result<(), Stop> {
    if deletion != Deletion::Pending {
        return Ok(());
    }
    while opened.cache.health().pending_invalidations > 0 {
        let left = opened.deadline.saturating_sub(start.elapsed());
        if left.is_zero() {
            let fault = opened.cache.health().last_fault;
            let fault = fault.unwrap_or_else(|| "it is left alone after an outage".to_owned());
            return Err(Stop::Pending(format!("the store could not be told: {fault}; {AGAIN}")));
        }
        std::thread::park_timeout(left.min(PAUSE));
    }
    Ok(())
}
