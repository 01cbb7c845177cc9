//! The statements that have a body.

/// A statement with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opener {
    For,
    If,
    With,
    Set,
    Autoescape,
    Filter,
    Block,
    Macro,
    Call,
    /// Tera's `{% component … %}`.
    Component,
    /// Tera's `{% <card> %}`.
    ComponentCall,
}

impl Opener {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::For => "for",
            Self::If => "if",
            Self::With => "with",
            Self::Set => "set",
            Self::Autoescape => "autoescape",
            Self::Filter => "filter",
            Self::Block => "block",
            Self::Macro => "macro",
            Self::Call => "call",
            Self::Component => "component",
            Self::ComponentCall => "<…>",
        }
    }

    pub(super) fn closing_word(self) -> &'static str {
        match self {
            Self::For => "endfor",
            Self::If => "endif",
            Self::With => "endwith",
            Self::Set => "endset",
            Self::Autoescape => "endautoescape",
            Self::Filter => "endfilter",
            Self::Block => "endblock",
            Self::Macro => "endmacro",
            Self::Call => "endcall",
            Self::Component => "endcomponent",
            Self::ComponentCall => "</…>",
        }
    }

    /// Whether the body is rendered by itself, so that a loop around it is not a loop for the
    /// content.
    pub(super) fn renders_by_itself(self) -> bool {
        matches!(
            self,
            Self::Block | Self::Macro | Self::Call | Self::Component | Self::ComponentCall
        )
    }

    /// Whether `break` and `continue` may leave the section open; see
    /// [`leave_keeps_sections`](crate::dialect::Rules::leave_keeps_sections).
    pub(super) fn stays_open(self) -> bool {
        matches!(self, Self::Filter | Self::Set | Self::Autoescape | Self::With)
    }
}
