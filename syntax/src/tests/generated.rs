//! Properties over generated sources: nothing panics, no line is lost, a source without a cache
//! block is unchanged, and one with a cache block prints what a native `if` prints.

use minijinja::syntax::SyntaxConfig;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Default delimiters, line statements, and delimiters that share bytes.
pub(super) fn configs() -> Vec<SyntaxConfig> {
    let mut out = vec![SyntaxConfig::default()];
    let mut builder = SyntaxConfig::builder();
    out.push(builder.line_statement_prefix("#").line_comment_prefix("##").build().unwrap());
    out.push(builder.trim_blocks(true).lstrip_blocks(true).build().unwrap());
    let mut builder = SyntaxConfig::builder();
    builder.block_delimiters("<%", "%>").variable_delimiters("${", "}");
    builder.comment_delimiters("<%#", "#%>").line_statement_prefix("%%");
    out.push(builder.build().unwrap());
    let mut builder = SyntaxConfig::builder();
    builder.block_delimiters("{", "}").variable_delimiters("{{", "}}");
    out.push(builder.comment_delimiters("{#", "#}").build().unwrap());
    let mut builder = SyntaxConfig::builder();
    builder.block_delimiters("«", "»").variable_delimiters("\\VAR{", "}");
    out.push(builder.comment_delimiters("\\#{", "}").line_comment_prefix("//").build().unwrap());
    out
}

/// Combinations of texts that could confuse a scanner.
pub(super) fn fragments() -> impl Strategy<Value = String> {
    let parts = vec![
        "{%",
        "%}",
        "{{",
        "}}",
        "{#",
        "#}",
        "{%-",
        "-%}",
        "+%}",
        "<%",
        "%>",
        "${",
        "}",
        "{",
        "<%#",
        "#%>",
        "«",
        "»",
        "\\VAR{",
        "\\#{",
        "%%",
        "//",
        "#",
        "##",
        "\n",
        "\r\n",
        "\r",
        " ",
        "  ",
        "\t",
        "cache",
        "endcache",
        " cache 300 ",
        "{% cache 1, 'a' %}",
        "{% endcache %}",
        "{% raw %}",
        "{% endraw %}",
        "{%- raw -%}",
        "raw",
        "endraw",
        "'",
        "\"",
        "`",
        "\\",
        "(",
        ")",
        "[",
        "]",
        ",",
        "=",
        "==",
        "x",
        "é",
        "日",
        "\u{a0}",
        "300",
        "1.5e-3",
        "if x",
        "{% if x %}",
        "{% endif %}",
        "{% for x in xs %}",
        "{% endfor %}",
        "unless=x",
        "shared=true",
        "tags=x",
        "tags=[\"a\nb\",\n",
        "stale\n=\nx",
        "version=x",
        "\n# cache 1\n",
        "\n# endcache\n",
        "\n  # if x\n",
        "{{ caller() }}",
        "{% set a.b = 1 %}",
        "{% set y %}",
        "{% endset %}",
        "...",
        "*",
        "{% block b %}",
        "{% <c> %}",
        "{% </c> %}",
        "|",
    ];
    prop::collection::vec(select(parts), 0..24).prop_map(|parts| parts.concat())
}

/// The same around a cache block's tags, so that many of them are templates.
fn tag_splices() -> impl Strategy<Value = String> {
    let parts = vec![
        "{% @O %}",
        "{% @C %}",
        "{%- @O -%}",
        "{%- @C -%}",
        "{% if n %}",
        "{% endif %}",
        "{% else %}",
        "{% raw %}",
        "{% endraw %}",
        "{# ",
        " #}",
        "{{ '",
        "' }}",
        "{{ \"",
        "\" }}",
        "{{ `",
        "` }}",
        "{{ n }}",
        "{{ {'a': {'b': 1}} }}",
        "{{ n -}}",
        " a ",
        "\n",
        "{% @O\n %}",
        "{% set y = 1 %}",
        "{% set y %}",
        "{% endset %}",
        "{% for x in xs %}",
        "{% endfor %}",
        "\n# @O\n",
        "\n# @C\n",
        "{% filter upper %}",
        "{% endfilter %}",
        "{% break %}",
        "{% component c() %}",
        "{{ \\",
        "{% endcomponent %}",
        "{% <c> %}",
        "{% </c> %}",
        "{% nothing %}",
        "%}",
        "}}",
        "{% elif n %}",
        " a ",
        "b",
        "é",
        "{{ n }}",
        " a ",
        "b",
        "é",
        "{{ n }}",
        " a ",
        "b",
        "é",
        "{{ n }}",
    ];
    // Mostly in pairs, because otherwise few templates would be well formed.
    let pairs = vec![
        ("{% @O %}", "{% @C %}"),
        ("{%- @O %}", "{% @C -%}"),
        ("{% if n %}", "{% endif %}"),
        ("{% raw %}", "{% endraw %}"),
        ("{# ", " #}"),
        ("{{ '", "' }}"),
        ("{{ `", "` }}"),
        ("{% for x in xs %}", "{% endfor %}"),
        ("{% set y %}", "{% endset %}"),
        ("\n# @O\n", "\n# @C\n"),
    ];
    let leaf = select(parts).prop_map(str::to_owned);
    leaf.prop_recursive(5, 24, 4, move |inner| {
        let body = prop::collection::vec(inner, 0..4).prop_map(|parts| parts.concat());
        let pair = (select(pairs.clone()), body.clone());
        prop_oneof![
            4 => pair.prop_map(|((open, close), body)| format!("{open}{body}{close}")),
            1 => body,
        ]
    })
}

/// A well-formed template in which `@O` and `@C` stand for a cache block's tags.
fn template(lines: bool) -> impl Strategy<Value = String> {
    let marker = || select(vec!["", "", "", "-", "+"]);
    let blank = || select(vec!["", "", " ", "\n", "\r\n", "\n\n", "  \n\t", "\n    "]);
    let tag = move |word: &'static str| {
        (marker(), marker()).prop_map(move |(a, b)| format!("{{%{a} {word} {b}%}}"))
    };
    let line = |word: &'static str| {
        select(vec!["", "  ", "\t"]).prop_map(move |indent| format!("\n{indent}# {word}\n"))
    };
    let word = move |word: &'static str| match lines {
        true => prop_oneof![tag(word), line(word)].boxed(),
        false => tag(word).boxed(),
    };
    let leaf = prop_oneof![
        select(vec!["a", "<p>", "{{ n }}", "{{- n }}", "{# c #}", "{#- c +#}", "{{ '%}' }}"])
            .prop_map(str::to_owned),
        (marker(), marker())
            .prop_map(|(a, b)| format!("{{%{a} raw {b}%}} {{{{ # {{%{b} endraw {a}%}}")),
        (word("set y = n")).prop_map(|set| set),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let body = prop::collection::vec((blank(), inner), 0..4).prop_map(|parts| {
            parts.into_iter().map(|(blank, part)| format!("{blank}{part}")).collect::<String>()
        });
        let pair = |open, close| {
            (word(open), body.clone(), blank(), word(close), blank())
                .prop_map(|(open, body, a, close, b)| format!("{open}{body}{a}{close}{b}"))
        };
        prop_oneof![
            4 => pair("@O", "@C"),
            1 => pair("if n", "endif"),
            1 => pair("for x in xs", "endfor"),
            1 => pair("filter upper", "endfilter"),
        ]
    })
    // This also makes line statements follow one another.
    .prop_perturb(|source, mut random| match random.next_u32() % 2 {
        0 => source.replace("\n\n", "\n"),
        _ => source,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_panics_and_no_line_is_lost(source in any::<String>(), spliced in fragments()) {
        let mut syntaxes: Vec<Syntax> = configs().iter().map(syntax_of).collect();
        syntaxes.push(Syntax::tera());
        for source in [&source, &spliced] {
            for syntax in &syntaxes {
                let Ok(page) = rewrite(source, source, syntax) else { continue };
                let lines = |text: &str| text.matches('\n').count();
                prop_assert_eq!(lines(page.source()), lines(source), "{:?}", source);
                for at in 0..=page.source().len() {
                    let range = page.map().original_range(at..page.source().len());
                    prop_assert!(range.start <= range.end && range.end <= source.len());
                }
                if page.blocks().is_empty() {
                    prop_assert!(matches!(page.into_source(), Cow::Borrowed(same) if same == source));
                }
            }
        }
    }

    #[test]
    fn the_engine_takes_what_it_would_take_with_an_if(source in tag_splices()) {
        let cached = cached(&source);
        let native = native(&source);
        for config in configs() {
            let Ok(page) = rewrite("page.html", &cached, &syntax_of(&config)) else { continue };
            let refusal = |source: &str| {
                let mut env = minijinja_env(config.clone());
                let added = env.add_template_owned("page.html", source.to_owned());
                added.map_err(|error| error.to_string()).err()
            };
            let (found, expected) = (refusal(page.source()), refusal(&native));
            let same = found.is_none() == expected.is_none();
            prop_assert!(same, "{:?} {:?} {:?}", source, found, expected);
        }
        if let Ok(page) = rewrite("page.html", &cached, &Syntax::tera()) {
            let refusal = |source: &str| {
                let added = tera_engine().add_raw_template("page.html", source);
                added.map_err(|error| error.to_string()).err()
            };
            let (found, expected) = (refusal(page.source()), refusal(&native));
            let same = found.is_none() == expected.is_none();
            prop_assert!(same, "{:?} {:?} {:?}", source, found, expected);
        }
    }

    #[test]
    fn what_was_copied_maps_to_itself(source in template(true)) {
        let source = cached(&source);
        let config = &configs()[1];
        let page = rewrite("page.html", &source, &syntax_of(config)).unwrap();
        let text = page.source();
        for (at, c) in text.char_indices() {
            let original = page.map().original(at);
            let end = page.map().original_range(at..at + c.len_utf8()).end;
            // Copied text maps byte for byte, generated text to a whole tag.
            prop_assert!(source[original..].starts_with(c) || end > original + 1);
        }
    }

    #[test]
    fn a_block_prints_what_an_if_prints(source in template(false)) {
        for bits in 0..8 {
            let mut builder = SyntaxConfig::builder();
            builder.trim_blocks(bits & 1 != 0).lstrip_blocks(bits & 2 != 0);
            builder.keep_trailing_newline(bits & 4 != 0);
            same_as_native(&builder.build().unwrap(), &source);
        }
    }

    #[test]
    fn a_block_among_line_statements_prints_what_an_if_prints(source in template(true)) {
        for bits in 0..8 {
            let mut builder = SyntaxConfig::builder();
            builder.line_statement_prefix("#").line_comment_prefix("##");
            builder.trim_blocks(bits & 1 != 0).lstrip_blocks(bits & 2 != 0);
            builder.keep_trailing_newline(bits & 4 != 0);
            same_as_native(&builder.build().unwrap(), &source);
        }
    }

    #[test]
    fn a_block_prints_what_an_if_prints_in_tera(source in template(false)) {
        // Tera has no `+`, and differs in other places too.
        tera_same_as_native(&source.replace("{%+", "{%").replace("+%}", "%}").replace("{#-", "{#").replace("+#}", "#}"));
    }
}
