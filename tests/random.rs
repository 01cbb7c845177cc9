//! Random sets of templates in both engines: macros, components, partials, and pages
//! that extend each other. Each set must print the same as with `{% if true %}` in
//! place of the cache tags: cold, warm, for the next visitor, and after its data was
//! edited and deleted. A failing set is reduced to a smaller one with the same fault.
//!
//! The sets are of careful authors: a block varies on every visitor, loop variable and
//! argument that it prints, and data that it prints is declared as tags or deleted.
//! The cache must handle what callers, children, namespaces and captured output add.

mod calls;
mod choices;
mod detours;
mod engines;
mod flows;
mod grammar;
mod judge;
mod scopes;
mod set;
mod statements;
mod values;

use std::collections::BTreeSet;

use choices::{Choices, shrink};
use grammar::{Theme, generate};
use judge::{Fault, Tally, Verdict, judge};
use set::{Block, BlockId, Form, Piece, Set};

use crate::support::Kind;

/// Number of sets for each engine, over all themes; `FRAGCACHE_TEMPLATES` if it is set.
fn sets() -> u64 {
    std::env::var("FRAGCACHE_TEMPLATES").map_or(1_500, |sets| sets.parse().unwrap())
}

/// Maximum number of faults per theme to report; `FRAGCACHE_FAULTS` if it is set.
fn most_faults() -> usize {
    std::env::var("FRAGCACHE_FAULTS").map_or(1, |faults| faults.parse().unwrap())
}

fn verdict(kind: Kind, theme: Theme, choices: &[u32]) -> Verdict {
    judge(&generate(kind, theme, Choices::replayed(choices)).0)
}

/// The results of a theme's sets.
#[derive(Debug, Default)]
struct Tried {
    tally: Tally,
    /// Number of sets that are not valid templates.
    none: usize,
    /// Number of sound blocks that are refused.
    innocent: usize,
    /// The reports of the faults.
    wrong: Vec<String>,
}

/// Static analysis cannot distinguish all values: one sound block in this many may be refused.
const BLOCKS_FOR_AN_INNOCENT: usize = 20_000;

/// Tries the sets of a theme, and prints reduced forms of the first ones with a fault.
#[allow(clippy::print_stdout, reason = "long runs are watched")]
fn check(kind: Kind, theme: Theme, seeds: std::ops::Range<u64>) -> Tried {
    let mut tried = Tried::default();
    for seed in seeds {
        let (set, choices) = generate(kind, theme, Choices::seeded(seed));
        match judge(&set) {
            Verdict::Right(tally) => {
                tried.tally.blocks += tally.blocks;
                tried.tally.accepted += tally.accepted;
                tried.tally.hit += tally.hit;
            }
            Verdict::NoTemplate(_) => tried.none += 1,
            Verdict::Wrong(fault, first) => {
                let small = shrink(
                    choices,
                    |choices| matches!(verdict(kind, theme, choices), Verdict::Wrong(other, _) if other == fault),
                );
                let Verdict::Wrong(_, what) = verdict(kind, theme, &small) else {
                    panic!("{first}")
                };
                let (set, _) = generate(kind, theme, Choices::replayed(&small));
                let sources = set.write(Form::Cached, &BTreeSet::new());
                let shown = format!("{kind}, {theme}, seed {seed}: {fault:?}, {what}\n{sources}");
                if matches!(fault, Fault::Refused | Fault::Named) {
                    tried.innocent += 1;
                    println!("{shown}");
                    continue;
                }
                tried.wrong.push(shown);
                if tried.wrong.len() >= most_faults() {
                    break;
                }
            }
        }
    }
    tried
}

#[allow(clippy::print_stdout, reason = "long runs are watched")]
fn check_all(kind: Kind) {
    let themes: Vec<Theme> =
        Theme::FOCUSED.into_iter().filter(|theme| theme.exists_in(kind)).collect();
    let (mut total, mut none, mut innocent, mut wrong) = (Tally::default(), 0, 0, Vec::new());
    // Half of the sets have one theme, half have all.
    let each = sets().div_ceil(2 * themes.len() as u64);
    let of_all = (Theme::All, sets().div_ceil(2));
    for (theme, sets) in themes.into_iter().map(|theme| (theme, each)).chain([of_all]) {
        let tried = check(kind, theme, 0..sets);
        let Tried { tally, none: skipped, .. } = tried;
        println!("{kind}, {theme}: {sets} sets, {skipped} without templates, {tally:?}");
        if !tried.wrong.is_empty() {
            println!("{}", tried.wrong.join("\n"));
            wrong.push(theme);
        }
        total.blocks += tally.blocks;
        total.hit += tally.hit;
        none += skipped;
        innocent += tried.innocent;
    }
    assert!(wrong.is_empty(), "{kind}: faults of {wrong:?} are shown above");
    let is_rare = innocent * BLOCKS_FOR_AN_INNOCENT <= total.blocks;
    assert!(is_rare, "{kind}: {innocent} of {} blocks are refused and innocent", total.blocks);
    assert!(total.hit * 10 >= total.blocks * 6, "{} of {} blocks hit", total.hit, total.blocks);
    assert!(none as u64 * 20 <= sets(), "{none} of {} sets are no templates", sets());
}

/// A page with one named block around `printed`.
fn one_block(engine: Kind, printed: Piece, data: &[usize]) -> Set {
    let block = Block {
        opening: vec!["cache 300, \"n0\"".into()],
        data: data.iter().copied().collect(),
        ..Block::default()
    };
    let page = vec![Piece::Open(BlockId(0)), printed, Piece::Close(BlockId(0))];
    Set {
        engine,
        own_delimiters: false,
        bindings: Vec::new(),
        blocks: vec![block],
        templates: vec![("p0.html".to_owned(), page)],
        pages: vec!["p0.html".to_owned()],
    }
}

#[test]
fn a_block_with_hidden_output_is_noticed() {
    for kind in Kind::BOTH {
        let said = one_block(kind, Piece::Data(BlockId(0), 1), &[1]);
        let tally = Tally { blocks: 1, accepted: 1, hit: 1 };
        assert_eq!(judge(&said), Verdict::Right(tally), "{kind}");
        // Prints the data of another visitor.
        let verdict = judge(&one_block(kind, "{{ who() }}".into(), &[]));
        assert!(matches!(verdict, Verdict::Wrong(Fault::Prints, _)), "{kind}: {verdict:?}");
        // Prints edited data in a block without tags that is deleted by a wrong name.
        let mut kept = one_block(kind, Piece::Data(BlockId(0), 1), &[1]);
        kept.blocks[0].deleted_by = Some("n1".to_owned());
        let verdict = judge(&kept);
        assert!(matches!(verdict, Verdict::Wrong(Fault::Prints, _)), "{kind}: {verdict:?}");
    }
}

#[test]
fn random_templates_of_minijinja_print_the_same_uncached() {
    check_all(Kind::MiniJinja);
}

#[test]
fn random_templates_of_tera_print_the_same_uncached() {
    check_all(Kind::Tera);
}
