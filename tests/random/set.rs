//! A generated set of templates, and its text: cached, cached with unique names, or with
//! `{% if true %}` in place of the cache tags.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use crate::support::Kind;

/// A variable, by its index in [`Set::bindings`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BindingId(pub(super) usize);

/// A cache block, by its index in [`Set::blocks`].
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

/// A variable, as set by one statement.
#[derive(Debug)]
pub(super) struct Binding {
    /// The name, which other variables may share.
    pub(super) name: String,
    /// The cache block whose body confines it.
    pub(super) body_of: Option<BlockId>,
    /// Another template reads it by its name.
    pub(super) fixed: bool,
}

/// A written form of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Cached,
    /// Cached, with a unique name for each variable.
    Renamed,
    /// With `{% if true %}` in place of the cache tags. A variable that is confined
    /// to a body has a unique name there.
    Native,
}

#[derive(Debug, Default)]
pub(super) struct Block {
    /// The part of the tag before `tags=`: `cache 300, "name", part…`.
    pub(super) opening: Vec<Piece>,
    pub(super) shared: bool,
    /// The items of data that its body prints, without those of inner blocks.
    pub(super) data: BTreeSet<usize>,
    /// The name by which it is deleted after data changes, in place of tags.
    pub(super) deleted_by: Option<String>,
    pub(super) lead: &'static str,
    pub(super) trail: &'static str,
    /// It uses filled-in content, captured output or state that is changed outside it, so it may
    /// be refused or not stored.
    pub(super) risky: bool,
    /// It or an inner block is risky, so it may not be stored.
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
    /// The templates that are rendered.
    pub(super) pages: Vec<String>,
}

/// A set as text.
pub(super) struct Sources {
    pub(super) templates: Vec<(String, String)>,
    /// The place of each block: template, line, and byte range from tag to tag.
    pub(super) places: BTreeMap<BlockId, (String, u32, Range<usize>)>,
}

impl Set {
    /// The set's text. Blocks in `out` are not cached.
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
                // The lengths are the same, so the places stay valid.
                text = text.replace("{%", "<%").replace("%}", "%>");
            }
            sources.templates.push((template.clone(), text));
        }
        sources
    }

    fn piece(&self, text: &mut String, form: Form, out: &BTreeSet<BlockId>, piece: &Piece) {
        match piece {
            Piece::Text(more) => text.push_str(more),
            // Data that is no longer declared is not printed.
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
