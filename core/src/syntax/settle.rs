//! Decides, once other templates are read, whether what is rendered in one place would be printed
//! from the cache in another. What there is to decide was noted by `flows.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::error::Error;

use super::bindings::Mark;
use super::checks::{anothers_content, tells_apart};
use super::flows::rendered;
use super::follow::{Followed, Printer, Questions};
use super::outline::{Block, By, Captured, Handed, Names, Outline, Rendering, Shown};
use super::refusal::Refusal;
use super::uses;

/// The block around a tag that may not print a name which the tag shows. `counts` tells whether a
/// rendering does.
pub(super) fn is_refused<'o>(
    source: &str,
    outline: &'o Outline<'_>,
    shown: &Shown<'_>,
    (name, marks): (&str, &[Mark]),
    counts: impl Fn(Option<usize>) -> bool,
) -> Option<&'o Block<'o>> {
    let blocks = shown.blocks.iter().filter_map(|block| outline.blocks.get(*block));
    { blocks }.find(|block| {
        marks.iter().any(|mark| {
            let is_outer = block.open.piece.start >= mark.origin;
            let is_told = tells_apart(block) && rendered(mark).is_none();
            is_outer
                && !is_told
                && !block.varies_on(source, name)
                && counts(rendered(mark).flatten())
        })
    })
}

/// What has to be read of other templates to settle what was noted: what a tag renders, and whether
/// a cache block of it prints what is handed on.
pub(super) fn questions<'s>(outline: &Outline<'s>) -> Questions<'s> {
    let mut questions = Questions::new();
    let captured = outline.captured.iter().filter_map(|it| it.rendering);
    let handed = outline.handed.iter().filter_map(|it| it.rendering);
    let mut renderings: BTreeSet<usize> = captured.chain(handed).collect();
    let mut last: Option<&Rc<Names<'_>>> = None;
    for Shown { tag, names, .. } in outline.shown.values() {
        questions.entry((tag.start, tag.end)).or_default().shown = Some(Rc::clone(names));
        if !last.is_some_and(|last| Rc::ptr_eq(last, names)) {
            renderings.extend(names.values().flatten().filter_map(|mark| rendered(mark).flatten()));
        }
        last = Some(names);
    }
    for Rendering { tag, is_foreign } in
        renderings.iter().filter_map(|it| outline.renderings.get(*it))
    {
        questions.entry((tag.start, tag.end)).or_default().is_value |= is_foreign;
    }
    for Handed { tag, by, .. } in &outline.handed {
        questions.entry((tag.start, tag.end)).or_default().handed.insert(by.clone());
    }
    questions
}

/// Whether what a variable holds may hold a fragment. Without a rendering it does, for all that is
/// known.
fn counts(outline: &Outline<'_>, followed: &Followed, rendering: Option<usize>) -> bool {
    let rendering = rendering.and_then(|it| outline.renderings.get(it));
    let Some(Rendering { tag, .. }) = rendering else { return true };
    let Some(answer) = followed.answer(tag) else { return true };
    let shown = outline.shown.get(&tag.start).map(|shown| &shown.names);
    let uses_shown = || {
        let mut used = answer.taken.names.keys();
        shown.is_some_and(|names| used.any(|name| names.contains_key(&**name)))
    };
    answer.may_hold_fragments() || uses_shown()
}

/// The fragment in a value that another template binds.
fn foreign<'f>(
    outline: &Outline<'_>,
    followed: &'f Followed,
    rendering: Option<usize>,
) -> Option<&'f Printer> {
    let rendering = rendering.and_then(|it| outline.renderings.get(it))?;
    let answer = followed.answer(&rendering.tag).filter(|_| rendering.is_foreign)?;
    answer.caches.as_ref()
}

/// Refuses what would print a fragment that is rendered before it, or what others fill in, once the
/// other templates are read.
pub(super) fn settle(
    refusal: &Refusal<'_>,
    outline: &Outline<'_>,
    followed: &Followed,
) -> Result<(), Error> {
    for Captured { block, name, at, bound, rendering } in &outline.captured {
        if counts(outline, followed, *rendering) {
            let what = match foreign(outline, followed, *rendering) {
                Some(fragment) => format!(
                    "`{name}`, which another template sets and which holds the cache block of {}",
                    fragment.place(refusal.template),
                ),
                None => format!("`{name}`, set on {}", refusal.place(*bound)),
            };
            return Err(uses::rendered_before(refusal, outline, *block, *at, &what));
        }
    }
    let counts = |rendering| counts(outline, followed, rendering);
    for shown in outline.shown.values() {
        let Some(answer) = followed.answer(&shown.tag) else { continue };
        let at = shown.tag.start;
        // In an order, for the message.
        let used: BTreeMap<_, _> = answer.taken.names.iter().collect();
        for (name, template) in used {
            let Some(marks) = shown.names.get(&**name) else { continue };
            if let Some(block) = is_refused(refusal.source, outline, shown, (name, marks), counts) {
                let what = format!(
                    "renders `{template}`, which uses `{name}` of this template: what others fill \
                     in, or what was rendered before the block"
                );
                return Err(anothers_content(refusal, block, at, &what));
            }
            let printer = answer.prints.get(&By::Name(name.clone()));
            if let Some(printer) = printer.filter(|_| marks.iter().filter_map(rendered).any(counts))
            {
                return Err(handed_on(refusal, name, at, printer));
            }
        }
    }
    for Handed { name, at, tag, by, rendering } in &outline.handed {
        let printer = followed.answer(tag).and_then(|answer| answer.prints.get(by));
        match printer {
            _ if *by == By::Value && counts(*rendering) => {
                return Err(refusal.at(
                    *at,
                    format!(
                        "{} is rendered before it is handed on to what is known only when it \
                         renders, and which could print it in a cache block: call a macro by its \
                         name, or print it outside",
                        as_written(refusal.source, name, *at),
                    ),
                ));
            }
            Some(printer) if counts(*rendering) => {
                return Err(handed_on(refusal, name, *at, printer));
            }
            _ => {}
        }
    }
    Ok(())
}

fn handed_on(refusal: &Refusal<'_>, name: &str, at: usize, printer: &Printer) -> Error {
    refusal.at(
        at,
        format!(
            "{} is rendered before it is handed on, and the cache block of {} may print it: others \
             would be served what is in it, and a deletion of what is inside would not reach the \
             block; add it there as a vary part, or print it outside",
            as_written(refusal.source, name, at),
            printer.place(refusal.template),
        ),
    )
}

/// A name as a message has it; with dots where it is called.
fn as_written(source: &str, name: &str, at: usize) -> String {
    let is_called =
        source[at..].strip_prefix(name).is_some_and(|rest| rest.starts_with(['(', '.']));
    format!("`{name}{}`", if is_called { "…" } else { "" })
}
