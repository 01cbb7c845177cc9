//! Reading a source takes linear time, measured by how often a name is looked up or compared
//! (counted in `name.rs`).

use super::super::name::probes;
use super::*;

/// A source of `count` copies of `part`, in which `@` stands for the copy's number, inside a cache
/// block.
fn of(part: &str, count: usize) -> String {
    let parts: String = (0..count).map(|number| part.replace('@', &number.to_string())).collect();
    format!("{{% cache 300, 'name', n %}}{parts}{{% endcache %}}")
}

/// The probes for a source, and for one with four times as many parts.
fn grows(syntax: &Syntax, part: &str) -> (usize, usize) {
    let probes = |count: usize| {
        let source = of(part, count);
        let rewritten = || rewrite("page.html", &source, syntax).map(drop).unwrap();
        probes::during(rewritten)
    };
    (probes(500), probes(2_000))
}

#[test]
fn the_work_for_names_grows_as_the_source_does() {
    let both = [
        "{% set a@ = @ %}",
        "{% set a = @ %}{{ a }}",
        "{% set a@ = @ %}{{ a@ }}",
        "{% set a@ %}x{% endset %}{{ a@ }}",
        "{% for a@ in xs %}{% set b@ = a@ %}{% endfor %}",
        "{% if n %}{% set a@ = 1 %}{% else %}{% set b@ = 2 %}{% endif %}{{ a@ }}",
        "{% set a@ = 1 %}{% include 'other' %}",
    ];
    let minijinja = [
        "{% with a@ = 1 %}{{ a@ }}{% endwith %}",
        "{% macro a@() %}{{ x }}{% endmacro %}{{ a@() }}",
        "{% if n %}{% macro a() %}{{ x }}{% endmacro %}{% endif %}{{ a() }}",
        "{% macro a@() %}{{ x }}{% endmacro %}{% set l = [a@, l] %}{{ l[0]() }}",
        "{% set a@ = namespace() %}{% set a@.b = 1 %}{{ a@.b }}",
    ];
    let tera =
        ["{% block b@ %}{% set a@ = @ %}{% endblock %}", "{% set a@ = 1 %}{{ <card a={a@}/> }}"];
    for (syntax, own) in [(Syntax::minijinja(), &minijinja[..]), (Syntax::tera(), &tera)] {
        for part in both.iter().chain(own) {
            let (few, many) = grows(&syntax, part);
            assert!(few >= 500, "{part}: {few} are counted");
            assert!(many <= 5 * few, "{part}: {few} grow to {many} with four times the source");
        }
    }
}
