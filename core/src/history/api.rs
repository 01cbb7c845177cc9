//! The cache calls of a history, and the names they use.

use std::sync::LazyLock;

use super::truth::{Place, TEMPLATES};
use crate::engine::{Opened, OutputMode, Scalar, Ticket};
use crate::tests::{Block, Plain, block};
use crate::{Fragment, FragmentCache, ReadPoint, fragment_key};

/// Number of sources of a template. A reload takes the next one, in a cycle.
pub(super) const GENERATIONS: usize = 3;

/// Option sets of a block: none, `unless`, `refresh`, `version`.
const OPTIONS: [&str; 4] = ["", "u", "r", "v"];

pub(super) const NAME: [&str; 2] = ["name0", "name1"];
pub(super) const TEMPLATE: [&str; TEMPLATES] = ["template0", "template1"];
pub(super) const TAG: [&str; 3] = ["tag0", "tag1", "tag2"];

/// The cache and a namespace of it.
pub(super) fn spaces(root: &FragmentCache) -> Vec<FragmentCache> {
    vec![root.clone(), root.namespace("tenant")]
}

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

/// The request of a block.
pub(super) struct Request<'a> {
    pub(super) place: Place,
    pub(super) timeout: Scalar<'a>,
    pub(super) options: &'a str,
    pub(super) tags: &'a [usize],
    pub(super) bounded: bool,
    /// The read point in the render's context.
    pub(super) point: Option<ReadPoint>,
}

impl Request<'_> {
    pub(super) fn open(&self, cache: &FragmentCache) -> Opened<String> {
        let part = Scalar::Int(self.place.part as i128);
        let mut arguments = vec![self.timeout, Scalar::Str(NAME[self.place.name]), part];
        if self.options == "v" {
            arguments.push(Scalar::Int(self.place.version as i128));
        } else if !self.options.is_empty() {
            arguments.push(Scalar::Bool(true));
        }
        let mode = if self.place.html { OutputMode::HTML } else { OutputMode::RAW };
        let mut rendering = Plain { mode, bounded: self.bounded, point: self.point };
        let block = block_of(self.place, self.options);
        let opened = block.open_as(cache, &arguments, &mut rendering);
        if let Opened::Render(ticket) = &opened {
            declare(ticket, self.tags);
        }
        opened
    }
}

fn declare(ticket: &Ticket, tags: &[usize]) {
    let tags: Vec<Box<str>> = tags.iter().map(|&tag| TAG[tag].into()).collect();
    ticket.tag(&tags);
}

/// A fragment rendered by Rust code.
pub(super) fn fragment(place: Place, tags: &[usize]) -> Fragment {
    let fragment = Fragment::new(fragment_key!(NAME[place.name], place.part));
    let fragment = fragment.tags(tags.iter().map(|&tag| TAG[tag]));
    if place.version > 0 { fragment.version(place.version) } else { fragment }
}
