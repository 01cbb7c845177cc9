//! Commands that change nothing: stats, get, scan, check.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use fragcache::FragmentCache;
use fragcache::admin::{Admin, StoredEntry, StoredPage, UnreadableEntry};
use fragcache::events::MissReason;
use fragcache::key::KeyKind;
use serde_json::json;

use crate::keys::{self, Meant, Pattern};
use crate::open::Opened;
use crate::options::{Get, Place, Scan};
use crate::say::{Row, Say, Stop, complain, instant, shown, time};

/// Number of entries between two progress messages.
const PROGRESS_EVERY: u64 = 1000;

/// Number of reads that measure the latency of the store.
const ASKED: usize = 11;

/// Visits all entries once, page by page. Returns their number.
pub(crate) fn each_page(
    admin: &Admin,
    mut see: impl FnMut(StoredPage) -> Result<(), Stop>,
) -> Result<u64, Stop> {
    // A store may list an entry twice. A hash of eight bytes per entry detects that.
    let (mut seen, hasher) = (HashSet::new(), RandomState::new());
    let mut is_new = |record: &str| seen.insert(hasher.hash_one(record));
    let (mut cursor, mut count, mut told) = (None, 0, 0);
    loop {
        let mut page = admin.entries(cursor.as_deref())?;
        page.entries.retain(|entry| is_new(&entry.record));
        page.unreadable.retain(|entry| is_new(&entry.record));
        cursor = page.next.take();
        count += (page.entries.len() + page.unreadable.len()) as u64;
        see(page)?;
        if count / PROGRESS_EVERY > told {
            told = count / PROGRESS_EVERY;
            complain(&format!("scanned {count} entries"));
        }
        if cursor.is_none() {
            return Ok(count);
        }
    }
}

pub(crate) fn stats(opened: &Opened, place: &Place, say: &mut Say) -> Result<(), Stop> {
    let admin = opened.admin_of(place)?;
    let mode = admin.fleet_mode()?;
    let (mut servable, mut expired, mut invalidated) = (0_u64, 0_u64, 0_u64);
    let (mut bytes, mut body_bytes, mut unreadable) = (0_u64, 0_u64, 0_u64);
    each_page(&admin, |page| {
        unreadable += page.unreadable.len() as u64;
        bytes += page.unreadable.iter().map(|entry| entry.bytes as u64).sum::<u64>();
        for entry in &page.entries {
            bytes += entry.bytes as u64;
            body_bytes += entry.body_bytes as u64;
            *match entry.miss {
                None => &mut servable,
                Some(MissReason::Expired) => &mut expired,
                Some(_) => &mut invalidated,
            } += 1;
        }
        Ok(())
    })?;
    let entries = servable + expired + invalidated;
    let mut rows: Vec<Row> = vec![
        ("store", json!(admin.capabilities()?.name)),
        ("mode", json!(mode.as_str())),
        ("entries", json!(entries)),
        ("servable", json!(servable)),
        ("expired", json!(expired)),
        ("invalidated", json!(invalidated)),
        ("unreadable", json!(unreadable)),
        ("bytes", json!(bytes)),
        ("markup_bytes", json!(body_bytes)),
    ];
    if place.namespace.is_none() {
        rows.extend(records(&admin)?);
    }
    let health = opened.cache.health();
    rows.push(("faults", json!(health.faults)));
    rows.extend(health.last_fault.map(|fault| ("last_fault", json!(fault))));
    rows.extend(health.gauges.into_iter().map(|(name, value)| (name, json!(value))));
    say.report(rows)
}

fn records(admin: &Admin) -> Result<[Row; 4], Stop> {
    let (mut versions, mut leases, mut lists, mut others) = (0, 0, 0, 0);
    let mut cursor = None;
    loop {
        let page = admin.records(cursor.as_deref())?;
        versions += page.versions;
        leases += page.leases;
        lists += page.variant_lists;
        others += page.others;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    Ok([
        ("versions", json!(versions)),
        ("leases", json!(leases)),
        ("variant_lists", json!(lists)),
        ("other_records", json!(others)),
    ])
}

pub(crate) fn get(opened: &Opened, wanted: &Get, say: &mut Say) -> Result<(), Stop> {
    let cache = opened.place(&wanted.place)?;
    let key = match Meant::new(&wanted.key, wanted.kind, &cache)? {
        Meant::Key(key) if key.kind() == KeyKind::Fragment => key,
        Meant::Template(_) => {
            return Err(Stop::Usage(
                "a template has many fragments; write --line LINE as well, or scan TEMPLATE"
                    .to_owned(),
            ));
        }
        meant => return list_meant(&cache, wanted, &meant, say),
    };
    if let Some(body) = cache.get(&key)? {
        let rows = vec![("key", json!(key.to_string())), ("body", json!(&*body))];
        return say.exactly(&body, rows);
    }
    if opened.left().is_zero() {
        return Err(Stop::Failed(opened.silence()));
    }
    let page = Admin::new(&cache)?.variants(&key)?;
    let why = match (page.entries.first(), page.unreadable.first()) {
        (Some(StoredEntry { miss: Some(miss), age, .. }), _) => {
            format!("is stored but not served: {}, rendered {} ago", miss.as_str(), time(*age))
        }
        // Only annotated variants exist, or the entry was stored just now.
        (Some(StoredEntry { miss: None, .. }), _) => {
            "is stored only as a variant for annotated pages".to_owned()
        }
        (None, Some(UnreadableEntry { reason, .. })) => {
            format!("is stored but cannot be read: {reason}")
        }
        (None, None) => is_not_stored(&cache, wanted)?,
    };
    let miss = page.entries.first().and_then(|entry| entry.miss).unwrap_or(MissReason::Cold);
    let miss = if page.entries.is_empty() && !page.unreadable.is_empty() {
        MissReason::Unreadable
    } else {
        miss
    };
    say.only_json(vec![
        ("key", json!(key.to_string())),
        ("body", json!(null)),
        ("miss", json!(miss.as_str())),
    ])?;
    Err(Stop::Failed(format!("{key} {why}")))
}

/// Reports that nothing is stored, and what else the arguments may refer to.
fn is_not_stored(cache: &FragmentCache, wanted: &Get) -> Result<String, Stop> {
    let other = keys::other_kinds(&wanted.key, wanted.kind, cache)?;
    Ok(format!("is not stored{}", other.map(|other| format!("; {other}")).unwrap_or_default()))
}

/// Lists the selected entries that are not markup, like a scan.
fn list_meant(cache: &FragmentCache, wanted: &Get, meant: &Meant, say: &Say) -> Result<(), Stop> {
    let admin = Admin::new(cache)?;
    let (mut found, mut servable, mut unreadable) = (0_u64, false, Vec::new());
    let mut see = |entry: &StoredEntry| {
        found += 1;
        servable |= entry.miss.is_none();
        list(entry, say)
    };
    if let Meant::Key(key) = meant {
        let page = admin.variants(key)?;
        page.entries.iter().try_for_each(&mut see)?;
        page.unreadable.iter().try_for_each(|entry| list_unreadable(entry, say))?;
        unreadable = page.unreadable;
    } else if cache.has_opaque_keys() {
        return Err(Stop::Usage(
            "the keys of this cache are opaque, so entries do not show their function, view or \
             path; write scan --kind KIND for all of a kind"
                .to_owned(),
        ));
    } else {
        let names = wanted.place.namespace.as_deref().map(keys::namespaces).transpose()?;
        let names = names.unwrap_or_default();
        each_page(&admin, |page| {
            let own = page.entries.iter().filter(|entry| entry.namespaces == names);
            own.filter(|entry| meant.includes(entry)).try_for_each(&mut see)
        })?;
    }
    match found {
        _ if servable => Ok(()),
        0 if unreadable.is_empty() => {
            Err(Stop::Failed(format!("{meant} {}", is_not_stored(cache, wanted)?)))
        }
        _ => Err(Stop::Failed(format!("{meant} is stored but not served"))),
    }
}

pub(crate) fn scan(opened: &Opened, scan: &Scan, say: &mut Say) -> Result<(), Stop> {
    let pattern = Pattern::new(scan.pattern.as_deref(), scan.kind)?;
    pattern.refuse_names(&opened.cache)?;
    let admin = opened.admin_of(&scan.place)?;
    let mut found = 0_u64;
    let count = each_page(&admin, |page| {
        for entry in page.entries.iter().filter(|entry| pattern.matches(entry)) {
            found += 1;
            list(entry, say)?;
        }
        for entry in page.unreadable.iter().filter(|entry| pattern.matches_unreadable(entry)) {
            found += 1;
            list_unreadable(entry, say)?;
        }
        Ok(())
    })?;
    complain(&format!("{found} of {count} entries match"));
    Ok(())
}

fn list(entry: &StoredEntry, say: &Say) -> Result<(), Stop> {
    let state = entry.miss.map_or("servable", MissReason::as_str);
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let places = (!entry.namespaces.is_empty()).then(|| shown(&keys::joined(&entry.namespaces)));
    let kind = entry.key.kind().as_str();
    let fields = [
        state.to_owned(),
        time(entry.age),
        entry.left.map_or("never".to_owned(), time),
        entry.bytes.to_string(),
        or_none(places),
        entry.key.to_string(),
        or_none(entry.template.as_deref().map(shown)),
        kind.to_owned(),
    ];
    let rows = vec![
        ("state", json!(state)),
        ("kind", json!(kind)),
        ("age_seconds", json!(entry.age.as_secs())),
        ("left_seconds", json!(entry.left.map(|left| left.as_secs()))),
        ("bytes", json!(entry.bytes)),
        ("markup_bytes", json!(entry.body_bytes)),
        ("labels", json!(entry.labels)),
        ("namespaces", json!(entry.namespaces)),
        ("key", json!(entry.key.to_string())),
        ("name", json!(entry.key.name())),
        ("template", json!(entry.template)),
        ("record", json!(entry.record)),
    ];
    say.line(&fields.join("\t"), rows)
}

fn list_unreadable(entry: &UnreadableEntry, say: &Say) -> Result<(), Stop> {
    let UnreadableEntry { record, reason, bytes, .. } = entry;
    let rows = vec![
        ("state", json!("unreadable")),
        ("reason", json!(reason)),
        ("bytes", json!(bytes)),
        ("record", json!(record)),
    ];
    say.line(&format!("unreadable:{reason}\t-\t-\t{bytes}\t-\t{}\t-\t-", shown(record)), rows)
}

pub(crate) fn check(opened: &Opened, say: &mut Say) -> Result<(), Stop> {
    let admin = &opened.admin;
    admin.probe()?;
    let mut times = Vec::with_capacity(ASKED);
    for _ in 0..ASKED {
        let start = instant();
        admin.fleet_mode()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let micros = |time: Option<&Duration>| json!(time.map_or(0, Duration::as_micros));
    let can = admin.capabilities()?;
    say.report(vec![
        ("store", json!(can.name)),
        ("reads", json!("yes")),
        ("writes", json!("yes")),
        ("median_read_us", micros(times.get(ASKED / 2))),
        ("longest_read_us", micros(times.last())),
        ("mode", json!(admin.fleet_mode()?.as_str())),
        ("is_in_use", json!(admin.is_in_use()?)),
        ("max_value_bytes", json!(can.max_value_bytes)),
        ("is_shared", json!(can.is_shared)),
        ("persists", json!(can.persists)),
        ("scans", json!(can.scans)),
        ("touches", json!(can.touches)),
    ])
}
