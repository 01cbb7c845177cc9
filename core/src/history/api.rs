//! The calls that a history makes of the cache, in one place.

use std::sync::LazyLock;

use super::caller::mode;
use super::truth::{Place, TEMPLATES};
use crate::FragmentCache;
use crate::engine::{Opened, Scalar};
use crate::tests::{Block, block};

/// Sources that a template may have; a reload goes round them.
pub(super) const GENERATIONS: usize = 3;

pub(super) const TAGS: bool = false;
pub(super) const VETO: bool = false;
pub(super) const SPACES: usize = 1;

const OPTIONS: [&str; 3] = ["", "u", "r"];

pub(super) const NAME: [&str; 2] = ["name0", "name1"];
pub(super) const TEMPLATE: [&str; 2] = ["template0", "template1"];

#[derive(Clone)]
pub(super) struct Point;

pub(super) fn begin(_: &FragmentCache) -> Option<Point> {
    None
}

pub(super) fn scoped<R>(_: &Point, step: impl FnOnce() -> R) -> R {
    step()
}

pub(super) fn learn(_: usize) {}

pub(super) fn veto() {}

pub(super) fn shorten() {}

/// The block of a place, with options.
fn block_of(place: Place, options: &str) -> &'static Block {
    static BLOCKS: LazyLock<Vec<Block>> = LazyLock::new(|| {
        let mut blocks = Vec::new();
        for template in TEMPLATE {
            for generation in 0..GENERATIONS {
                for options in OPTIONS {
                    blocks.push(block(&format!("{template}v{generation}"), template, options));
                }
            }
        }
        blocks
    });
    let option = OPTIONS.iter().position(|&known| known == options).unwrap();
    &BLOCKS[(place.template * GENERATIONS + place.generation) * OPTIONS.len() + option]
}

const _: () = assert!(TEMPLATES == TEMPLATE.len());

/// What a block asks for.
pub(super) struct Request<'a> {
    pub(super) place: Place,
    pub(super) timeout: Scalar<'a>,
    pub(super) options: &'a str,
    pub(super) tags: &'a [usize],
}

impl Request<'_> {
    pub(super) fn open(&self, cache: &FragmentCache, bounded: bool) -> Opened<String> {
        let part = Scalar::Int(self.place.part as i128);
        let mut arguments = vec![self.timeout, Scalar::Str(NAME[self.place.name]), part];
        arguments.extend(self.options.chars().map(|_| Scalar::Bool(true)));
        let _ = self.tags;
        block_of(self.place, self.options).open_as(cache, mode(self.place), &arguments, bounded)
    }
}
