//! Generates sets of templates: macros or components, partials, a base, and children
//! that extend it. Their contents are in `statements.rs`.

use std::fmt;

use super::choices::Choices;
use super::scopes::{Carried, Carrier, Holds, Kind as Scope, Scopes, Variable};
use super::set::{Binding, BindingId, Block, BlockId, Piece, Set};
use crate::support::Kind;

/// The features of a set, besides text, data, loops, conditions and cache blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Theme {
    /// `caller` and `body`, used in any way.
    Bodies,
    /// Blocks of children and parents, `super()` and `self`.
    Blocks,
    /// `set` and Tera's `set_global`.
    Sets,
    /// MiniJinja's namespaces, passed to macros.
    Spaces,
    /// MiniJinja's namespaces under several names.
    SpaceAliases,
    /// Variables that capture output.
    Captures,
    /// Output and filled-in content flow to where they are printed: through variables, containers,
    /// arguments, macros inside macros, and partials.
    Flows,
    /// All of these, and whitespace control, delimiters, sections and `loop.changed`.
    All,
}

impl Theme {
    pub(super) const FOCUSED: [Self; 7] = [
        Self::Bodies,
        Self::Blocks,
        Self::Sets,
        Self::Spaces,
        Self::SpaceAliases,
        Self::Captures,
        Self::Flows,
    ];

    pub(super) fn has(self, theme: Self) -> bool {
        match self {
            Self::All => true,
            Self::Flows => {
                matches!(theme, Self::Flows | Self::Bodies | Self::Blocks | Self::Captures)
            }
            _ => self == theme,
        }
    }

    pub(super) fn exists_in(self, engine: Kind) -> bool {
        engine == Kind::MiniJinja || !matches!(self, Self::Spaces | Self::SpaceAliases)
    }
}

impl fmt::Display for Theme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Whether a macro prints its filled-in content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fills {
    No,
    Needed,
    /// It only tests whether there is any.
    Tested,
}

/// A MiniJinja macro or a Tera component, possibly the one being written.
#[derive(Debug, Clone)]
pub(super) struct Macro {
    pub(super) name: String,
    /// The parameters after the key.
    pub(super) takes: Vec<Holds>,
    /// The key and the other parameters.
    pub(super) parameters: Vec<BindingId>,
    pub(super) fills: Fills,
    /// It is visible only where it is defined, through a variable.
    pub(super) local: bool,
    /// It does something that a cached body must not do undetected.
    pub(super) risky: bool,
}

/// What an included template reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    Nothing,
    Body,
    /// The variable [`SHOWN`].
    Shown,
}

#[derive(Debug, Clone)]
pub(super) struct Partial {
    pub(super) name: String,
    pub(super) asks: Asks,
    pub(super) risky: bool,
}

/// The variable that a partial prints.
pub(super) const SHOWN: &str = "shown";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The text of the base.
    Page,
    /// A block by its number, and whether it has a parent's.
    Block(usize, bool),
    Macro,
    Partial,
}

/// A part of a template with its own variables.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    pub(super) what: What,
    /// Suffix of its variables' names, if others could see them.
    pub(super) suffix: String,
    pub(super) fills: Fills,
    /// Whether `caller` is used in it.
    pub(super) asked: bool,
}

pub(super) struct Writer {
    pub(super) choices: Choices,
    pub(super) engine: Kind,
    pub(super) theme: Theme,
    pub(super) bindings: Vec<Binding>,
    pub(super) blocks: Vec<Block>,
    pub(super) out: Vec<Piece>,
    pub(super) scopes: Scopes,
    pub(super) unit: Unit,
    pub(super) macros: Vec<Macro>,
    pub(super) partials: Vec<Partial>,
    /// Number of template blocks.
    pub(super) numbered: usize,
    /// Number of statements that may still be written.
    pub(super) budget: usize,
    /// Number of risky statements written.
    pub(super) risks: usize,
    pub(super) marks: usize,
    dashes: bool,
    /// The extension of all templates, which determines whether they escape.
    extension: &'static str,
}

/// Generates a set.
pub(super) fn generate(engine: Kind, theme: Theme, choices: Choices) -> (Set, Vec<u32>) {
    let unit = Unit { what: What::Page, suffix: String::new(), fills: Fills::No, asked: false };
    let mut writer = Writer {
        choices,
        engine,
        theme,
        bindings: Vec::new(),
        blocks: Vec::new(),
        out: Vec::new(),
        scopes: Scopes::new(engine == Kind::Tera),
        unit,
        macros: Vec::new(),
        partials: Vec::new(),
        numbered: 0,
        budget: 0,
        risks: 0,
        marks: 0,
        dashes: false,
        extension: "html",
    };
    let set = writer.set();
    (set, writer.choices.into_taken())
}

impl Writer {
    fn set(&mut self) -> Set {
        let all = self.theme == Theme::All;
        let own_delimiters = all && self.choices.chance(10);
        self.dashes = all && self.choices.chance(20);
        if self.theme.has(Theme::Flows) && self.choices.chance(15) {
            self.extension = "txt";
        }
        let mut templates = Vec::new();
        let macros = match self.theme {
            Theme::All => self.choices.below(4),
            Theme::Bodies | Theme::Captures | Theme::Spaces => 1 + self.choices.below(2),
            Theme::Flows => 1 + self.choices.below(3),
            Theme::Blocks | Theme::Sets | Theme::SpaceAliases => 0,
        };
        for _ in 0..macros {
            self.macro_();
        }
        if !self.out.is_empty() {
            templates.push((self.file("lib"), std::mem::take(&mut self.out)));
        }
        let partials = match self.theme {
            Theme::All | Theme::Bodies | Theme::Captures | Theme::Flows => self.choices.below(3),
            _ => 0,
        };
        for number in 0..partials {
            let name = self.file(&format!("part{number}"));
            self.partial(&name);
            templates.push((name, std::mem::take(&mut self.out)));
        }
        let mut pages = vec![self.file("p0")];
        // The template blocks of each page.
        let mut known: Vec<Vec<usize>> = Vec::new();
        self.budget = 8 + self.choices.below(16);
        self.unit(What::Page, String::new(), false);
        templates.push((pages[0].clone(), std::mem::take(&mut self.out)));
        known.push((0..self.numbered).collect());
        if self.theme.has(Theme::Blocks) && self.numbered > 0 {
            for child in 1..=1 + self.choices.below(2) {
                let parent = self.choices.below(child);
                let name = self.file(&format!("p{child}"));
                let (before, blocks) = (self.numbered, known[parent].clone());
                self.child(&pages[parent], &blocks);
                known.push(blocks.into_iter().chain(before..self.numbered).collect());
                templates.push((name.clone(), std::mem::take(&mut self.out)));
                pages.push(name);
            }
        }
        let (bindings, blocks) =
            (std::mem::take(&mut self.bindings), std::mem::take(&mut self.blocks));
        Set { engine: self.engine, own_delimiters, bindings, blocks, templates, pages }
    }

    pub(super) fn file(&self, name: &str) -> String {
        format!("{name}.{}", self.extension)
    }

    /// The macros that any template can use.
    pub(super) fn shared_macros(&self) -> Vec<usize> {
        let all = self.macros.iter().enumerate();
        all.filter(|(_, known)| !known.local).map(|(index, _)| index).collect()
    }

    /// A unit's statements, in scopes of its own. If its users are not known, it
    /// prints nothing from outside.
    pub(super) fn unit(&mut self, what: What, suffix: String, barrier: bool) {
        let unit = Unit { what, suffix, fills: Fills::No, asked: false };
        let outer = std::mem::replace(&mut self.unit, unit);
        self.scopes.open(Scope::Unit, barrier, false);
        self.imports();
        self.statements(0);
        self.scopes.close();
        self.unit = outer;
    }

    /// Imports the macros into a MiniJinja template.
    fn imports(&mut self) {
        let shared = self.macros.iter().filter(|known| !known.local);
        let names: Vec<&str> = shared.map(|known| &*known.name).collect();
        if self.engine == Kind::MiniJinja && !names.is_empty() {
            let import =
                format!("{{% from \"{}\" import {} %}}", self.file("lib"), names.join(", "));
            self.out.push(import.into());
        }
    }

    fn macro_(&mut self) {
        let name = format!("m{}", self.macros.len());
        let fills = self.fills();
        self.budget = if fills == Fills::No { 1 } else { 3 } + self.choices.below(5);
        let made = self.macro_of(Piece::from(&*name), &name, fills, Scope::Unit, 0);
        self.put(["\n".into()]);
        self.macros.push(made);
    }

    /// Whether a new macro prints its filled-in content.
    pub(super) fn fills(&mut self) -> Fills {
        match self.theme.has(Theme::Bodies) {
            true => {
                self.choices.weighted(&[(4, Fills::No), (5, Fills::Needed), (1, Fills::Tested)])
            }
            false => Fills::No,
        }
    }

    /// The types of parameters that a new macro may have after its key.
    fn may_take(&self) -> Vec<Holds> {
        let mut may_take = vec![Holds::Scalar];
        let minijinja = self.engine == Kind::MiniJinja;
        if self.theme.has(Theme::Bodies) {
            may_take.push(Holds::Body);
        }
        if self.theme.has(Theme::Captures) {
            may_take.push(Holds::Markup { risky: true });
        }
        if self.theme == Theme::Flows {
            may_take.extend([Holds::Body, Holds::Markup { risky: true }]);
        }
        if self.theme.has(Theme::Flows) {
            may_take.extend(Carrier::of(self.engine).iter().flat_map(|&carrier| {
                [Holds::In(carrier, Carried::Body), Holds::In(carrier, Carried::Markup)]
            }));
        }
        if minijinja && self.theme.has(Theme::Spaces) {
            may_take.extend([Holds::Space; 3]);
        }
        may_take
    }

    /// Writes a macro or component named `by`, in a scope of this kind.
    pub(super) fn macro_of(
        &mut self,
        by: Piece,
        name: &str,
        fills: Fills,
        kind: Scope,
        depth: usize,
    ) -> Macro {
        let may_take = self.may_take();
        let mut takes = Vec::new();
        let most = if self.theme == Theme::Flows { 2 } else { 1 };
        while takes.len() < most && self.choices.chance(60) {
            takes.push(*self.choices.one(&may_take));
        }
        let risks = self.risks;
        let suffix = self.unit.suffix.clone();
        let unit = Unit { what: What::Macro, suffix, fills, asked: false };
        let outer = std::mem::replace(&mut self.unit, unit);
        self.scopes.open(kind, true, false);
        let made = self.scopes.innermost();
        let key = self.bind("k", false);
        self.scopes.set("k", Some(Variable { id: key, holds: Holds::Key, made, handed: true }));
        let (open, close) = match self.engine {
            Kind::MiniJinja => ("macro", "endmacro"),
            Kind::Tera => ("component", "endcomponent"),
        };
        self.put([format!("{{% {open} ").into(), by, "(".into(), key.into()]);
        let mut parameters = vec![key];
        let mut chosen = String::new();
        for &holds in &takes {
            // Blocks that print a passed scalar also vary on it.
            let before = std::mem::replace(&mut chosen, self.fresh_name());
            if chosen == before {
                break;
            }
            let id = self.bind(&chosen, false);
            self.scopes.set(&chosen, Some(Variable { id, holds, made, handed: true }));
            self.put([", ".into(), id.into()]);
            parameters.push(id);
        }
        takes.truncate(parameters.len() - 1);
        self.put([") %}".into()]);
        if self.theme == Theme::Flows && self.choices.chance(60) {
            self.sink(depth);
        }
        self.statements(depth);
        if self.unit.fills != Fills::No && !self.unit.asked {
            self.ask_for_body();
        }
        self.scopes.close();
        self.unit = outer;
        self.put([format!("{{% {close} %}}").into()]);
        let risky = self.risks > risks || takes.iter().any(|holds| *holds != Holds::Scalar);
        let local = kind == Scope::Local;
        Macro { name: name.to_owned(), takes, parameters, fills, local, risky }
    }

    fn partial(&mut self, name: &str) {
        let asks = match self.choices.below(4) {
            2 if self.theme.has(Theme::Bodies) => Asks::Body,
            3 if self.theme.has(Theme::Captures) => Asks::Shown,
            _ => Asks::Nothing,
        };
        let risks = self.risks;
        match asks {
            Asks::Nothing => {
                self.budget = 1 + self.choices.below(4);
                self.unit(What::Partial, format!("_{}", self.partials.len()), true);
            }
            Asks::Body | Asks::Shown => {
                let word = match (asks, self.engine) {
                    (Asks::Shown, _) => SHOWN,
                    (_, Kind::MiniJinja) => "caller()",
                    (_, Kind::Tera) => "body",
                };
                let print = format!("({{{{ {word} }}}})");
                match self.choices.chance(25) {
                    true => self.cached_whole(asks, print),
                    false => self.put([print.into()]),
                }
            }
        }
        let risky = self.risks > risks || asks != Asks::Nothing;
        self.partials.push(Partial { name: name.to_owned(), asks, risky });
    }

    /// A partial that consists of a cache block around what it reads. Captured output is the same
    /// for a page; content that a caller fills in has no name here that the block could vary on.
    fn cached_whole(&mut self, asks: Asks, print: String) {
        let id = BlockId(self.blocks.len());
        let parts = if asks == Asks::Shown { ", page(), who()" } else { "" };
        let opening = vec![format!("cache 300, \"n{}\"{parts}", id.0).into()];
        self.blocks.push(Block { opening, risky: true, doubtful: true, ..Block::default() });
        self.out.extend(["\n".into(), Piece::Open(id), print.into(), Piece::Close(id)]);
    }

    fn child(&mut self, parent: &str, known: &[usize]) {
        self.put([format!("{{% extends \"{parent}\" %}}").into()]);
        for &number in known {
            if self.choices.chance(60) {
                self.budget = 1 + self.choices.below(5);
                self.block_of(number, true);
            }
        }
    }

    /// A template block with its content.
    pub(super) fn block_of(&mut self, number: usize, child: bool) {
        self.put([format!("{{% block b{number} %}}").into()]);
        // In Tera, a variable set in a block is visible after it.
        self.unit(What::Block(number, child), format!("_b{}", self.marks), true);
        self.put(["{% endblock %}".into()]);
    }

    pub(super) fn put<const N: usize>(&mut self, pieces: [Piece; N]) {
        for piece in pieces {
            let piece = match piece {
                Piece::Text(text) if self.dashes && text.starts_with("{% ") => {
                    match self.choices.chance(10) {
                        true => Piece::Text(format!(" {{%-{}", &text[2..])),
                        false => Piece::Text(text),
                    }
                }
                piece => piece,
            };
            self.out.push(piece);
        }
    }

    pub(super) fn dash(&mut self) -> &'static str {
        if self.dashes && self.choices.chance(30) { "-" } else { "" }
    }

    pub(super) fn bind(&mut self, name: &str, fixed: bool) -> BindingId {
        let body_of = self.scopes.body_of();
        self.bindings.push(Binding { name: name.to_owned(), body_of, fixed });
        BindingId(self.bindings.len() - 1)
    }

    /// A name from a small set, so that many variables share it.
    pub(super) fn fresh_name(&mut self) -> String {
        let names = if self.theme == Theme::SpaceAliases { 2 } else { 3 };
        let name = ["t", "u", "x"][self.choices.below(names)];
        format!("{name}{}", self.unit.suffix)
    }
}
