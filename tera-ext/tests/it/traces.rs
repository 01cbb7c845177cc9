//! A cache block leaves the variables unchanged, on a miss and on a hit. Random templates with
//! assignments, loops, blocks and cache blocks are compared with a model of Tera's scopes.

use std::collections::BTreeMap;
use std::fmt::Write;

use tera::Context;

use crate::support::Site;

const NAMES: [&str; 2] = ["x", "y"];

enum Node {
    Set(&'static str, u64),
    SetGlobal(&'static str, u64),
    Print(&'static str),
    PrintLoop,
    Loop(u64, Vec<Node>),
    Block(usize, Vec<Node>),
    Cache(usize, Vec<Node>),
}

/// The context of a statement.
#[derive(Clone, Copy, Default)]
struct At {
    is_cached: bool,
    is_in_loop: bool,
    depth: usize,
}

struct Random {
    state: u64,
    count: usize,
    /// Whether there are blocks.
    with_blocks: bool,
}

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.state >> 33) % end
    }

    fn id(&mut self) -> usize {
        self.count += 1;
        self.count
    }

    fn nodes(&mut self, at: At) -> Vec<Node> {
        (0..=self.below(3)).map(|_| self.node(at)).collect()
    }

    fn node(&mut self, at: At) -> Node {
        let name = NAMES[usize::try_from(self.below(2)).unwrap()];
        let value = self.below(9);
        let deeper = At { depth: at.depth + 1, ..at };
        match self.below(if at.depth < 4 { 9 } else { 5 }) {
            0 | 1 => Node::Set(name, value),
            2 if !at.is_cached => Node::SetGlobal(name, value),
            3 if at.is_in_loop => Node::PrintLoop,
            0..=4 => Node::Print(name),
            5 | 6 => {
                let rounds = self.below(3);
                Node::Loop(rounds, self.nodes(At { is_in_loop: true, ..deeper }))
            }
            7 if self.with_blocks && !at.is_in_loop => Node::Block(self.id(), self.nodes(deeper)),
            _ => Node::Cache(self.id(), self.nodes(At { is_cached: true, ..deeper })),
        }
    }
}

fn write(nodes: &[Node], in_loop: bool, out: &mut String) {
    for node in nodes {
        match node {
            Node::Set(name, value) => write!(out, "{{% set {name} = {value} %}}"),
            Node::SetGlobal(name, value) => write!(out, "{{% set_global {name} = {value} %}}"),
            Node::Print(name) => write!(out, "{{{{ {name} | default(value='-') }}}}"),
            Node::PrintLoop => {
                write!(out, "({{{{ loop.index }}}}/{{{{ loop.length }}}}{{{{ [loop.last, loop.first, loop.index0] }}}})")
            }
            Node::Loop(rounds, body) => {
                let list: Vec<u64> = (0..*rounds).collect();
                write!(out, "{{% for i in {list:?} %}}").unwrap();
                write(body, true, out);
                write!(out, "{{% endfor %}}")
            }
            Node::Block(id, body) => {
                write!(out, "{{% block b{id} %}}").unwrap();
                write(body, in_loop, out);
                write!(out, "{{% endblock %}}")
            }
            Node::Cache(id, body) => {
                let round = if in_loop { "loop.index, loop.length" } else { "0, 0" };
                write!(
                    out,
                    "{{% cache 300, 'c{id}', x | default(value='-'), y | default(value='-'), \
                     {round} %}}<"
                )
                .unwrap();
                write(body, in_loop, out);
                write!(out, ">{{% endcache %}}")
            }
        }
        .unwrap();
    }
}

/// The assignments of a scope; for a loop, also its iteration and length.
type Scope = (BTreeMap<&'static str, u64>, Option<(u64, u64)>);

/// Scopes, outermost first.
struct Model {
    scopes: Vec<Scope>,
    out: String,
}

impl Model {
    fn run(&mut self, nodes: &[Node]) {
        for node in nodes {
            match node {
                Node::Set(name, value) => {
                    self.scopes.last_mut().unwrap().0.insert(name, *value);
                }
                Node::SetGlobal(name, value) => {
                    self.scopes[0].0.insert(name, *value);
                }
                Node::Print(name) => {
                    match self.scopes.iter().rev().find_map(|(scope, _)| scope.get(name)) {
                        Some(value) => write!(self.out, "{value}").unwrap(),
                        None => self.out.push('-'),
                    }
                }
                Node::PrintLoop => {
                    let round = self.scopes.iter().rev().find_map(|(_, round)| *round);
                    let (round, length) = round.unwrap();
                    let (last, first) = (round == length, round == 1);
                    let index0 = round - 1;
                    write!(self.out, "({round}/{length}[{last}, {first}, {index0}])").unwrap();
                }
                Node::Loop(rounds, body) => {
                    for round in 1..=*rounds {
                        self.scopes.push((BTreeMap::new(), Some((round, *rounds))));
                        self.run(body);
                        self.scopes.pop();
                    }
                }
                Node::Block(_, body) => self.run(body),
                Node::Cache(_, body) => {
                    self.scopes.push((BTreeMap::new(), None));
                    self.out.push('<');
                    self.run(body);
                    self.out.push('>');
                    self.scopes.pop();
                }
            }
        }
    }
}

fn random(seed: u64, with_blocks: bool) -> (Vec<Node>, String) {
    let mut random = Random { state: seed, count: 0, with_blocks };
    let nodes: Vec<Node> = (0..4).flat_map(|_| random.nodes(At::default())).collect();
    let mut source = String::new();
    write(&nodes, false, &mut source);
    (nodes, source)
}

#[test]
fn a_cache_block_undoes_the_assignments_of_its_body() {
    let mut hits = 0;
    for seed in 0..3_000 {
        let (nodes, source) = random(seed, seed % 2 == 0);
        let mut model = Model { scopes: vec![(BTreeMap::new(), None)], out: String::new() };
        model.run(&nodes);
        let site = Site::loaded(&[("page", &source)]);
        for round in ["cold", "warm"] {
            let page = site.render("page", &Context::new());
            assert_eq!(page, model.out, "{round}: {source}");
        }
        hits += site.cache.stats().hits;
    }
    assert!(hits > 3_000, "{hits}");
}

/// A parent's block that a child prints in a loop assigns to that loop's variables.
#[test]
fn nor_does_one_that_is_reached_by_super_in_a_loop() {
    for seed in 0..1_000 {
        let (_, source) = random(seed, true);
        let base = format!("{{% block all %}}{source}{{% endblock %}}");
        let child = "{% extends 'base' %}{% block all %}{% for i in [1, 2] %}{{ super() }}\
                     {% set_global x = 70 + i %}{% set_global y = 80 + i %}\
                     {{ x | default(value='-') }}{{ y | default(value='-') }}{% endfor %}\
                     {% endblock %}";
        let site = Site::loaded(&[("base", &base), ("child", child)]);
        let cold = site.render("child", &Context::new());
        assert_eq!(site.render("child", &Context::new()), cold, "{source}");
    }
}

#[test]
fn a_global_that_is_set_after_the_block_is_seen() {
    let site = Site::loaded(&[(
        "page",
        "{% set x = 1 %}{% for i in [1] %}{% cache 300, 'a' %}{% set x = 5 %}{% endcache %}\
         {% set_global x = 2 %}{{ x }}{% endfor %}",
    )]);
    assert_eq!([(); 2].map(|()| site.render("page", &Context::new())), ["2", "2"]);
}

/// An error lists the variables in scope; the rewriter's are not among them.
#[test]
fn no_variable_of_the_rewriter_is_shown() {
    let site = Site::loaded(&[
        (
            "body",
            "{% for i in [1] %}{% cache 300, 'a' %}\n{{ nothing }}\n{% endcache %}{% endfor %}",
        ),
        ("after", "{% cache 300, 'a' %}{% endcache %}\n{{ nothing }}"),
        ("all", "{{ __tera_context }}"),
        ("dump", "{% cache 300, 'a' %}{% include 'all' %}{% endcache %}{{ __tera_context }}"),
    ]);
    for page in ["body", "after"] {
        let error = site.tera.render(page, &Context::new()).unwrap_err().to_string();
        assert!(!error.contains("__fragcache"), "{error}");
    }
    assert_eq!(site.render("dump", &Context::new()), "{}{}");
}
