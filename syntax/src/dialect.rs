//! What differs between template languages: one table for each. No other module compares dialects
//! or knows an engine's name.

use crate::opener::Opener;

/// The template language of a source.
///
/// ```
/// use fragcache_syntax::{Dialect, Syntax};
///
/// assert_eq!(Syntax::tera().dialect(), Dialect::Tera);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// MiniJinja 3.
    MiniJinja,
    /// Tera 2.
    Tera,
}

impl Dialect {
    pub(crate) const fn rules(self) -> &'static Rules {
        match self {
            Self::MiniJinja => &MINIJINJA,
            Self::Tera => &TERA,
        }
    }
}

/// How a cache block is lowered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lowering {
    /// Filters take positional arguments, and a `with` section is the scope of the body.
    With,
    /// Filters take a list. A loop of one iteration is the scope of the body; where that cannot be,
    /// what the body assigns is restored after it.
    Loop,
}

/// The facts of a template language.
///
/// A rule that is `false` or empty in one dialect is a construct or a behaviour that it does not
/// have.
#[derive(Debug)]
pub(crate) struct Rules {
    /// The engine's name, for messages.
    pub(crate) engine: &'static str,

    // Delimiters.
    /// The length in bytes of every delimiter, if it is fixed.
    pub(crate) delimiter_len: Option<usize>,
    /// Statements and comments that a prefix starts and the line's end ends.
    pub(crate) line_prefixes: bool,
    /// The whitespace marker `+`.
    pub(crate) plus_marker: bool,
    /// The whitespace markers that may follow the start of a `raw` tag.
    pub(crate) raw_open_markers: &'static [char],
    /// The whitespace markers that may precede the end of a `raw` tag, and surround `endraw`.
    pub(crate) raw_markers: &'static [char],
    /// A tag's end inside brackets is not the end of the tag.
    pub(crate) brackets_hide_tag_end: bool,

    // Tokens.
    /// Strings in backticks.
    pub(crate) backtick_strings: bool,
    /// Names with letters beyond ASCII. Without them, a delimiter such as `»` may directly follow a
    /// name.
    pub(crate) unicode_names: bool,
    /// The operators `?.` and `?[`.
    pub(crate) optional_chaining: bool,
    /// The operator `...`.
    pub(crate) spread: bool,

    // Statements.
    /// The statements with a body.
    pub(crate) openers: &'static [Opener],
    /// The most levels that statements may take.
    pub(crate) most_levels: usize,
    /// Macros: they are defined, imported and called, `call` fills their `caller`, and `self` renders
    /// a block.
    pub(crate) macros: bool,
    /// Components: `{% component card(title) %}` is used as `{{ <card title="a" /> }}` and as
    /// `{% <card> %}`, which fills its `body`.
    pub(crate) components: bool,
    /// `{% set_global %}`.
    pub(crate) set_global: bool,
    /// A template prints nothing outside its blocks if it extends another one.
    pub(crate) children_print_blocks_only: bool,
    /// `break` and `continue` are errors outside a loop of the same template.
    pub(crate) leaves_only_loops: bool,
    /// A section stays open if `break` or `continue` leaves it: the output that follows is lost or
    /// escaped as in the section, or the render panics. Otherwise the engine refuses such a template.
    pub(crate) leave_keeps_sections: bool,
    /// Blocks may be rendered elsewhere than where they stand, before an `extends` is read: it may
    /// follow them.
    pub(crate) late_extends: bool,

    // Names.
    /// `namespace()` objects, whose attributes can be assigned.
    pub(crate) namespaces: bool,
    /// `loop` is a value, which knows the neighbouring items and the last arguments of `changed`.
    pub(crate) loop_is_value: bool,
    /// Comprehensions in expressions bind names.
    pub(crate) comprehensions: bool,
    /// What a block assigns is assigned in its template, also through `super()`.
    pub(crate) blocks_share_scope: bool,
    /// An included template binds names in the template that includes it.
    pub(crate) includes_bind: bool,
    /// What a call or `super()` in an expression renders sees the variables around the expression.
    pub(crate) calls_see_variables: bool,
    /// The default of a parameter sees the other parameters.
    pub(crate) defaults_see_parameters: bool,
    /// The name that prints every variable, and whether it is a function.
    pub(crate) everything: (&'static str, bool),

    // Words for fast searches.
    /// A source without any of these sets of words hands nothing on to cache blocks of other
    /// templates, unless it uses a component.
    pub(crate) hand_on: &'static [&'static [&'static str]],

    // Lowering.
    pub(crate) lowering: Lowering,
    /// The text around the value of a condition, with which the engine evaluates it as in an `if`.
    pub(crate) condition: Option<(&'static str, &'static str)>,
}

static MINIJINJA: Rules = Rules {
    engine: "MiniJinja",
    delimiter_len: None,
    line_prefixes: true,
    plus_marker: true,
    raw_open_markers: &[],
    raw_markers: &['-', '+'],
    brackets_hide_tag_end: true,
    backtick_strings: false,
    unicode_names: true,
    optional_chaining: false,
    spread: false,
    openers: &[
        Opener::For,
        Opener::If,
        Opener::With,
        Opener::Set,
        Opener::Autoescape,
        Opener::Filter,
        Opener::Block,
        Opener::Macro,
        Opener::Call,
    ],
    // The engine allows 150, and counts two for any expression inside.
    most_levels: 148,
    macros: true,
    components: false,
    set_global: false,
    children_print_blocks_only: false,
    leaves_only_loops: false,
    leave_keeps_sections: true,
    late_extends: true,
    namespaces: true,
    loop_is_value: true,
    comprehensions: false,
    blocks_share_scope: false,
    includes_bind: true,
    calls_see_variables: false,
    defaults_see_parameters: true,
    everything: ("debug", true),
    hand_on: &[&["import"], &["macro"], &["extends"], &["super"], &["self"], &["include"]],
    lowering: Lowering::With,
    // Under strict undefined behaviour, a misspelt name is then an error and not false.
    condition: Some(("(", ") and true")),
};

static TERA: Rules = Rules {
    engine: "Tera",
    delimiter_len: Some(2),
    line_prefixes: false,
    plus_marker: false,
    raw_open_markers: &['-'],
    raw_markers: &['-'],
    brackets_hide_tag_end: false,
    backtick_strings: true,
    unicode_names: false,
    optional_chaining: true,
    spread: true,
    openers: &[
        Opener::For,
        Opener::If,
        Opener::Set,
        Opener::Filter,
        Opener::Block,
        Opener::Component,
        Opener::ComponentCall,
    ],
    // The engine allows 40, and counts the template itself.
    most_levels: 39,
    macros: false,
    components: true,
    set_global: true,
    children_print_blocks_only: true,
    leaves_only_loops: true,
    leave_keeps_sections: false,
    late_extends: false,
    namespaces: false,
    loop_is_value: false,
    comprehensions: true,
    blocks_share_scope: true,
    includes_bind: false,
    calls_see_variables: true,
    defaults_see_parameters: false,
    everything: ("__tera_context", false),
    hand_on: &[&["component"], &["include"], &["extends", "set"]],
    lowering: Lowering::Loop,
    condition: None,
};
