//! Finds `break` and `continue` tags that leave a section. MiniJinja does not end the section
//! there. If a cache block renders such a template, the end of the block's own section ends the
//! open one instead, so that a miss prints less than a hit.

use crate::delimiters::Syntax;
use crate::opener::Opener;
use crate::scanner::{PieceKind, Scanner};
use crate::statement::{Role, Statement};

/// The offsets of each `break` or `continue` that leaves a section.
pub(super) fn all(source: &str, syntax: &Syntax) -> Vec<usize> {
    let mut all = Vec::new();
    let has = |word: &str| memchr::memmem::find(source.as_bytes(), word.as_bytes()).is_some();
    if !syntax.rules().leave_keeps_sections || !(has("break") || has("continue")) {
        return all;
    }
    let mut open = Vec::new();
    for piece in Scanner::new(source, syntax).take_while(|piece| piece.closed) {
        if !matches!(piece.kind, PieceKind::Block | PieceKind::LineStatement) {
            continue;
        }
        match Statement::read(source, &piece, syntax.rules()).role {
            Role::Open(opener) => open.push(opener),
            Role::Close(_) => drop(open.pop()),
            // The `else` part is not in the loop.
            Role::Else => {
                if let Some(last @ Opener::For) = open.last_mut() {
                    *last = Opener::If;
                }
            }
            Role::Leave if leaves_section(&open) => all.push(piece.start),
            _ => {}
        }
    }
    all
}

/// Whether the innermost loop encloses an open section. The content of a macro or a `call` block is
/// rendered by itself, so nothing after it is lost.
fn leaves_section(open: &[Opener]) -> bool {
    let by_itself = open.iter().any(|opener| matches!(opener, Opener::Macro | Opener::Call));
    let inner = open.iter().rposition(|opener| *opener == Opener::For);
    !by_itself && inner.is_some_and(|at| open[at..].iter().any(|opener| opener.stays_open()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{Syntax, rewrite_with};

    const LEAVES: &str = "{% for i in x %}{% filter upper %}a{% if i %}{% break %}{% endif %}{% endfilter %}{% endfor %}";

    /// The error for a page when the template `p` has this source.
    fn error_of(page: &str, p: &str) -> Option<String> {
        let sources = |name: &str| (name == "p").then(|| Arc::from(p));
        let syntax = Syntax::minijinja();
        rewrite_with("page", page, &syntax, &sources).err().map(|error| error.to_string())
    }

    #[test]
    fn a_template_that_leaves_its_own_section_is_refused_where_a_cache_block_renders_it() {
        let set = LEAVES.replace("filter upper", "set t").replace("endfilter", "endset");
        let line = format!("one\n{LEAVES}");
        let include = "{% cache 9 %}{% include 'p' %}{% endcache %}";
        for (p, place) in [
            (LEAVES, "p:1:46"),
            (&LEAVES.replace("break", "continue"), "p:1:46"),
            (&set, "p:1:39"),
            (&set.replace("set t", "with a = 1").replace("endset", "endwith"), "p:1:44"),
            (&line, "p:2:46"),
            (&format!("{{% block b %}}{LEAVES}{{% endblock %}}"), "p:1:59"),
            (&format!("{{% for j in x %}}{{% else %}}{{% endfor %}}{LEAVES}"), "p:1:84"),
        ] {
            let error = error_of(include, p).unwrap();
            let says = format!("`break` or `continue` leaves a section ({place})");
            assert!(error.contains(&says) && error.contains("page:1:1"), "{p}: {error}");
        }
        let base = format!("{{% block b %}}{LEAVES}{{% endblock %}}");
        let child =
            "{% extends 'p' %}{% block b %}{% cache 9 %}{{ super() }}{% endcache %}{% endblock %}";
        assert!(error_of(child, &base).unwrap().contains("(p:1:59)"));
        let module = format!("{LEAVES}{{% macro m() %}}{{% endmacro %}}");
        let imports = "{% cache 9 %}{% from 'p' import m %}{{ m() }}{% endcache %}";
        assert!(error_of(imports, &module).unwrap().contains("(p:1:46)"));
    }

    #[test]
    fn what_loses_nothing_of_a_cache_block_is_accepted() {
        let include = "{% cache 9 %}{% include 'p' %}{% endcache %}";
        for p in [
            "{% for i in x %}{% break %}{% endfor %}break",
            "{% filter upper %}{% for i in x %}{% break %}{% endfor %}{% endfilter %}",
            "{% set a = 1 %}{% for i in x %}{% set b = i %}{% continue %}{% endfor %}",
            "{% for i in x %}{% filter upper %}a{% endfilter %}{% break %}{% endfor %}",
            // Rendered by themselves.
            &format!("{{% macro m() %}}{LEAVES}{{% endmacro %}}{{{{ m() }}}}"),
            &format!("{{% call m() %}}{LEAVES}{{% endcall %}}"),
        ] {
            assert_eq!(error_of(include, p), None, "{p}");
        }
        assert_eq!(error_of("{% include 'p' %}{% cache 9 %}{% endcache %}", LEAVES), None);
    }
}
