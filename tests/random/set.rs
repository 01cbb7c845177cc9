//! A generated set of templates, and its text: as it is cached, with every name its own, and with
//! `{% if true %}` in the cache tags' place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use crate::support::Kind;

/// A variable, by its place in [`Set::bindings`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BindingId(pub(super) usize);

/// A cache block, by its place in [`Set::blocks`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BlockId(pub(super) usize);

#[derive(Debug, Clone)]
pub(super) enum Piece {
    Text(String),
    Name(BindingId),
    /// An item of data, in the body of a block that declares it.
    Data(BlockId, usize),
    Open(BlockId),
    Close(BlockId),
}

impl From<&str> for Piece {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Piece {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<BindingId> for Piece {
    fn from(id: BindingId) -> Self {
        Self::Name(id)
    }
}

/// One variable, as one statement makes it.
#[derive(Debug)]
pub(super) struct Binding {
    /// The name, which others may have too.
    pub(super) name: String,
    /// The cache block whose body it is set in and stays in.
    pub(super) body_of: Option<BlockId>,
    /// Another template asks for it by its name.
    pub(super) fixed: bool,
}

/// How a set's templates are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Cached,
    /// As cached, with a name for each variable that no other has.
    Renamed,
    /// With `{% if true %}` in the cache tags' place. What a body sets stays in it: it has a name of
    /// its own there.
    Native,
}

#[derive(Debug, Default)]
pub(super) struct Block {
    /// What stands in the tag before `tags=`: `cache 300, "name", part…`.
    pub(super) opening: Vec<Piece>,
    pub(super) shared: bool,
    /// The items of data that its body prints beside the blocks in it.
    pub(super) data: BTreeSet<usize>,
    /// The name by which it is deleted when data changes, in place of tags.
    pub(super) deleted_by: Option<String>,
    pub(super) lead: &'static str,
    pub(super) trail: &'static str,
    /// It may be refused, or not be stored: it uses what is filled in, kept or changed outside.
    pub(super) risky: bool,
    /// It, or a block in it, is risky: it may not be stored.
    pub(super) doubtful: bool,
}

#[derive(Debug)]
pub(super) struct Set {
    pub(super) engine: Kind,
    /// `<%` and `%>`.
    pub(super) own_delimiters: bool,
    pub(super) bindings: Vec<Binding>,
    pub(super) blocks: Vec<Block>,
    /// In the order in which they are loaded.
    pub(super) templates: Vec<(String, Vec<Piece>)>,
    /// Those that are rendered.
    pub(super) pages: Vec<String>,
}

/// A set as text.
pub(super) struct Sources {
    pub(super) templates: Vec<(String, String)>,
    /// Where each block is: its template, its line, and its bytes from tag to tag.
    pub(super) places: BTreeMap<BlockId, (String, u32, Range<usize>)>,
}

impl Set {
    /// The set's text, in which the blocks that are `out` are not cached.
    pub(super) fn write(&self, form: Form, out: &BTreeSet<BlockId>) -> Sources {
        let mut sources = Sources { templates: Vec::new(), places: BTreeMap::new() };
        for (template, pieces) in &self.templates {
            let mut text = String::new();
            for piece in pieces {
                match piece {
                    Piece::Open(id) => {
                        let line = 1 + u32::try_from(text.matches('\n').count()).unwrap();
                        let place = (template.clone(), line, text.len()..text.len());
                        sources.places.insert(*id, place);
                        self.tag(&mut text, form, out, *id, true);
                    }
                    Piece::Close(id) => {
                        self.tag(&mut text, form, out, *id, false);
                        sources.places.get_mut(id).unwrap().2.end = text.len();
                    }
                    Piece::Text(_) | Piece::Name(_) | Piece::Data(..) => {
                        self.piece(&mut text, form, out, piece);
                    }
                }
            }
            if self.own_delimiters {
                // Of the same lengths, so that the places hold.
                text = text.replace("{%", "<%").replace("%}", "%>");
            }
            sources.templates.push((template.clone(), text));
        }
        sources
    }

    fn piece(&self, text: &mut String, form: Form, out: &BTreeSet<BlockId>, piece: &Piece) {
        match piece {
            Piece::Text(more) => text.push_str(more),
            // What is not declared any more is not printed.
            Piece::Data(block, _) if out.contains(block) => {}
            Piece::Data(_, item) => text.push_str(&format!("{{{{ data(i={item}) }}}}")),
            Piece::Name(id) => {
                let binding = &self.bindings[id.0];
                let stays = |block| form == Form::Native || out.contains(&block);
                let renamed = form == Form::Renamed && !binding.fixed;
                match renamed || binding.body_of.is_some_and(stays) {
                    true => text.push_str(&format!("v{}", id.0)),
                    false => text.push_str(&binding.name),
                }
            }
            Piece::Open(_) | Piece::Close(_) => unreachable!("no block is in a tag"),
        }
    }

    fn tag(
        &self,
        text: &mut String,
        form: Form,
        out: &BTreeSet<BlockId>,
        id: BlockId,
        opens: bool,
    ) {
        let block = &self.blocks[id.0];
        let (lead, trail) = if opens { (block.lead, "") } else { ("", block.trail) };
        text.push_str(&format!("{{%{lead} "));
        match (form == Form::Native || out.contains(&id), opens) {
            (true, true) => text.push_str("if true"),
            (true, false) => text.push_str("endif"),
            (false, false) => text.push_str("endcache"),
            (false, true) => {
                block.opening.iter().for_each(|piece| self.piece(text, form, out, piece));
                if !block.data.is_empty() && block.deleted_by.is_none() {
                    let tags: Vec<String> =
                        block.data.iter().map(|item| format!("\"d:{item}\"")).collect();
                    text.push_str(&format!(", tags=[{}]", tags.join(", ")));
                }
                text.push_str(if block.shared { ", shared=true" } else { "" });
            }
        }
        text.push_str(&format!(" {trail}%}}"));
    }
}

impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, source) in &self.templates {
            writeln!(f, "--- {name}\n{source}")?;
        }
        Ok(())
    }
}
