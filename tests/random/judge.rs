//! Checks a set: cold, warm, for the next visitor, and after deletions it must print the
//! same as with `{% if true %}` in place of the cache tags, and sound blocks must be cached.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fragcache::events::{EventKind, RefusalReason};
use fragcache::testing::{ManualClock, Recorder};
use fragcache::{FragmentCache, make_template_fragment_key};

use super::engines::{Engine, Failed, World};
use super::set::{BlockId, Form, Set, Sources};
use super::statements::DATA;

/// The number of blocks that a render reaches, and how many of them were cached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) blocks: usize,
    /// Blocks that are not refused at load or at the first render.
    pub(super) accepted: usize,
    /// Blocks served from the cache in the second render.
    pub(super) hit: usize,
}

/// A fault of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Its output differs from the uncached one.
    Prints,
    /// A sound block is refused.
    Refused,
    /// A block is refused only because variables share a name.
    Named,
    /// A sound block is not served from the cache.
    NotServed,
    /// It fails, but not when uncached.
    Fails,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Right(Tally),
    /// The engine does not accept the plain templates.
    NoTemplate(String),
    Wrong(Fault, String),
}

/// Why a check ended early.
enum Ended {
    NoTemplate(String),
    Wrong(Fault, String),
    /// A block that was refused while it was rendered.
    Refused(BlockId),
}

/// Number of visitors of each page.
const VISITORS: usize = 2;

pub(super) fn judge(set: &Set) -> Verdict {
    match try_judge(set) {
        Ok(tally) => Verdict::Right(tally),
        Err(Ended::NoTemplate(why)) => Verdict::NoTemplate(why),
        Err(Ended::Wrong(fault, what)) => Verdict::Wrong(fault, what),
        Err(Ended::Refused(_)) => unreachable!("refused blocks are left out"),
    }
}

/// The refused blocks of a set.
#[derive(Debug, Default)]
struct Refused {
    /// All refused blocks: they are not cached in the further checks.
    out: BTreeSet<BlockId>,
    /// The blocks refused at load.
    at_load: BTreeSet<BlockId>,
    /// The message for the first sound block that is refused.
    innocent: Option<String>,
}

fn try_judge(set: &Set) -> Result<Tally, Ended> {
    let world = Arc::<World>::default();
    let mut refused = Refused::default();
    let tally = loop {
        match trial(set, &world, &mut refused) {
            Err(Ended::Refused(block)) if refused.out.insert(block) => {}
            Err(Ended::Refused(block)) => {
                let what = format!("{block:?} is refused and not there");
                return Err(Ended::Wrong(Fault::Fails, what));
            }
            done => break done?,
        }
    };
    if let Some(what) = refused.innocent {
        return Err(Ended::Wrong(Fault::Refused, what));
    }
    // Beside the same other blocks, a block refused under these names must also be refused under
    // unique ones. (Which one of two blocks is refused first may depend on the names.)
    if refused.at_load.is_empty() {
        return Ok(tally);
    }
    let mut others = Refused::default();
    accepted(set, Form::Renamed, &world, &FragmentCache::in_memory(), &mut others)?;
    let mut beside = Refused { out: others.out, ..Refused::default() };
    accepted(set, Form::Cached, &world, &FragmentCache::in_memory(), &mut beside)?;
    match beside.at_load.first() {
        Some(block) => {
            let what = format!("{block:?} is refused for the names of variables alone");
            Err(Ended::Wrong(Fault::Named, what))
        }
        None => Ok(tally),
    }
}

fn load(
    set: &Set,
    sources: &Sources,
    world: &Arc<World>,
    cache: Option<&FragmentCache>,
) -> Result<Engine, Failed> {
    Engine::load(set.engine, set.own_delimiters, &sources.templates, world, cache)
}

/// Loads the set without the refused blocks.
fn accepted(
    set: &Set,
    form: Form,
    world: &Arc<World>,
    cache: &FragmentCache,
    refused: &mut Refused,
) -> Result<(Engine, Sources), Ended> {
    loop {
        let sources = set.write(form, &refused.out);
        match load(set, &sources, world, Some(cache)) {
            Ok(engine) => return Ok((engine, sources)),
            Err(failed) => {
                let block = refused.note(set, &sources, &failed)?;
                refused.out.insert(block);
                // Static analysis does not know which block prints a value that is passed on.
                if !failed.message.contains("is rendered before it is passed on") {
                    refused.at_load.insert(block);
                }
            }
        }
    }
}

impl Refused {
    /// Records the block that an error refuses.
    fn note(&mut self, set: &Set, sources: &Sources, failed: &Failed) -> Result<BlockId, Ended> {
        let unexpected =
            || Ended::Wrong(Fault::Fails, format!("an error of its own: {}", failed.message));
        let location =
            failed.ours.as_ref().and_then(fragcache::Error::location).ok_or_else(unexpected)?;
        // A value that is passed on is refused because of a block that could print it.
        let printer = failed.message.split_once("and the cache block of ");
        let printer = printer.and_then(|(_, rest)| rest.split_once(" may print"));
        let (template, line, column) = match printer.map(|(place, _)| place) {
            None => (&*location.template, location.line, location.column),
            Some(place) => read_place(place, &location.template).ok_or_else(unexpected)?,
        };
        let named = sources.templates.iter().find(|(name, _)| **name == *template);
        let (name, source) = named.ok_or_else(unexpected)?;
        let line = line as usize - 1;
        let start: usize = source.split_inclusive('\n').take(line).map(str::len).sum();
        let column = (column as usize).saturating_sub(1);
        let at = start + source[start..].chars().take(column).map(char::len_utf8).sum::<usize>();
        let around = sources.places.iter().filter(|(id, (template, _, range))| {
            template == name && range.contains(&at) && !self.out.contains(id)
        });
        let innermost = around.min_by_key(|(_, (_, _, range))| range.len());
        let (&id, _) = innermost.ok_or_else(unexpected)?;
        // A value that is passed on again may be printed by any block.
        if !set.blocks[id.0].risky && printer.is_none() {
            let what = format!("{id:?} is refused, and is innocent: {}", failed.message);
            self.innocent.get_or_insert(what);
        }
        Ok(id)
    }
}

fn trial(set: &Set, world: &Arc<World>, refused: &mut Refused) -> Result<Tally, Ended> {
    let recorder = Recorder::new();
    let builder = FragmentCache::builder().clock(ManualClock::new());
    let cache = builder.observer(recorder.clone()).build().unwrap();
    let plain = |out: &BTreeSet<BlockId>| {
        let loaded = load(set, &set.write(Form::Native, out), world, None);
        loaded.map_err(|failed| Ended::NoTemplate(failed.message))
    };
    plain(&refused.out)?;
    let (engine, sources) = accepted(set, Form::Cached, world, &cache, refused)?;
    let native = plain(&refused.out)?;
    let compare = |when: &str, refused: &mut Refused| -> Result<(), Ended> {
        for (page, name) in set.pages.iter().enumerate() {
            for visitor in 0..VISITORS {
                world.visit(page, visitor);
                let expected = native.render(name);
                let expected = expected.map_err(|failed| Ended::NoTemplate(failed.message))?;
                match engine.render(name) {
                    Ok(found) if found == expected => {}
                    Ok(found) => {
                        return Err(Ended::Wrong(
                            Fault::Prints,
                            format!(
                                "{name}, visitor {visitor}, {when}:\n  {found:?}\nand uncached\n  {expected:?}"
                            ),
                        ));
                    }
                    Err(failed) => {
                        return Err(match refused.note(set, &sources, &failed) {
                            Ok(block) => Ended::Refused(block),
                            Err(ended) => ended,
                        });
                    }
                }
            }
        }
        Ok(())
    };
    compare("cold", refused)?;
    let cold = of_blocks(&sources, &recorder);
    recorder.reset();
    compare("warm", refused)?;
    let warm = of_blocks(&sources, &recorder);
    let mut tally = Tally { blocks: refused.out.len(), ..Tally::default() };
    for (index, block) in set.blocks.iter().enumerate() {
        let id = BlockId(index);
        if refused.out.contains(&id) || !cold.contains_key(&id) {
            continue;
        }
        tally.blocks += 1;
        tally.accepted += 1;
        // A block that is not opened any more is in the body of one that was served.
        let seen = warm.get(&id).map_or(&[][..], Vec::as_slice);
        let served = seen.iter().all(|kind| *kind == EventKind::Hit);
        tally.hit += usize::from(served);
        // If a `caller` is a value, no block that sees it is certain to be cached.
        let content = EventKind::Refused(RefusalReason::CallContent);
        let sees_content = seen.contains(&content) || cold[&id].contains(&content);
        if !served && !block.doubtful && !sees_content {
            return Err(Ended::Wrong(
                Fault::NotServed,
                format!("{id:?} is innocent, and not served: {seen:?}"),
            ));
        }
    }
    for item in 0..DATA {
        let mut printed = set.blocks.iter().filter(|block| block.data.contains(&item)).peekable();
        if printed.peek().is_none() {
            continue;
        }
        world.edit(item);
        for name in printed.filter_map(|block| block.deleted_by.as_ref()) {
            let parts: [&str; 0] = [];
            cache.delete(&make_template_fragment_key(name.as_str(), parts)).eventually();
        }
        cache.invalidate_tags([format!("d:{item}")]).unwrap().eventually();
        compare(&format!("after d{item} was edited and deleted"), refused)?;
    }
    compare("at last", refused)?;
    Ok(tally)
}

/// The events of each block.
fn of_blocks(sources: &Sources, recorder: &Recorder) -> BTreeMap<BlockId, Vec<EventKind>> {
    let mut seen: BTreeMap<BlockId, Vec<EventKind>> = BTreeMap::new();
    let places: BTreeMap<(&str, u32), BlockId> =
        sources.places.iter().map(|(id, (name, line, _))| ((name.as_str(), *line), *id)).collect();
    for event in recorder.events() {
        let template = event.template.as_deref().unwrap_or_default();
        if event.kind == EventKind::Repeated {
            continue;
        }
        if let Some(id) = places.get(&(template, event.line)) {
            seen.entry(*id).or_default().push(event.kind);
        }
    }
    seen
}

/// Parses `line 2, column 3` of `page`, or `lib.html:2:3`.
fn read_place<'t>(text: &'t str, page: &'t str) -> Option<(&'t str, u32, u32)> {
    if let Some((line, column)) =
        text.strip_prefix("line ").and_then(|it| it.split_once(", column "))
    {
        return Some((page, line.parse().ok()?, column.parse().ok()?));
    }
    let (rest, column) = text.rsplit_once(':')?;
    let (template, line) = rest.rsplit_once(':')?;
    Some((template, line.parse().ok()?, column.parse().ok()?))
}
