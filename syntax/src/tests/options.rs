//! `tags`, `stale`, `version` and `using`: where their values go, that lines and places stay, and
//! what is refused before rendering.

use minijinja::syntax::SyntaxConfig;
use proptest::prelude::*;
use proptest::sample::select;

use super::refusals::{accepted, both, refused};
use super::*;

fn lowered(source: &str, syntax: &Syntax) -> String {
    let page = rewrite("p.html", source, syntax).unwrap();
    let lines = |text: &str| text.matches('\n').count();
    assert_eq!(lines(page.source()), lines(source), "{}", page.source());
    let site = page.source().find('"').unwrap();
    let site = &page.source()[site..site + 2 + page.source()[site + 1..].find('"').unwrap()];
    let options = &site[23..site.find(':').unwrap()];
    page.source().replace(site, &format!("SITE{options}"))
}

fn print(source: &str, syntax: &Syntax) -> Result<String, String> {
    let page = rewrite("page.html", source, syntax).unwrap();
    match syntax.dialect() {
        Dialect::MiniJinja => render_minijinja(&SyntaxConfig::default(), page.source()),
        Dialect::Tera => render_tera_in(tera_engine(), page.source()),
    }
}

#[test]
fn the_lowered_text_is_as_agreed_with_the_runtime() {
    let source =
        "{% cache 9, \"x\", tags=[\"a\", n], unless=n, stale = '30s', version=n %}b{% endcache %}";
    assert_eq!(
        lowered(source, &Syntax::minijinja()),
        "{% if SITEuv|__fragcache_open( 9, \"x\", (n) and true, n ) %}{{ 0|__fragcache_hit }}\
         {% else %}{% with __fragcache=0|__fragcache_ticket|__fragcache_declare(tags=[\"a\", n], \
         stale = '30s') %}{% filter __fragcache_close(__fragcache) %}b{% endfilter %}{% endwith %}\
         {% endif %}"
    );
    let own = format!("__fragcache_{:016x}_0", xxhash_rust::xxh3::xxh3_64(b"p.html"));
    assert_eq!(
        lowered(source, &Syntax::tera()),
        format!(
            "{{% if [SITEuv, 9, \"x\", n, n ] | __fragcache_open %}}{{{{ 0 | __fragcache_hit }}}}\
             {{% else %}}{{% for {own} in [0 | __fragcache_ticket | __fragcache_declare(\
             tags=[\"a\", n], stale = '30s')] %}}{{% filter __fragcache_close(ticket={own}) %}}b\
             {{% endfilter %}}{{% endfor %}}{{% endif %}}"
        )
    );
    let stale = lowered("{% cache stale=9 %}b{% endcache %}", &Syntax::minijinja());
    assert!(stale.starts_with("{% if SITE|__fragcache_open %}"), "{stale}");
    assert!(stale.contains("ticket|__fragcache_declare(stale=9) %}"), "{stale}");
}

#[test]
fn a_moved_option_leaves_its_lines_behind() {
    let arguments = |source: &str| {
        let text = lowered(&format!("{source}b{{% endcache %}}"), &Syntax::minijinja());
        let (open, miss) = text.split_once("{{ 0|").unwrap();
        let open = open.strip_prefix("{% if SITE").unwrap();
        let (_, declared) = miss.split_once("__fragcache_declare").unwrap();
        let declared = declared.split(" %}").next().unwrap();
        (open[open.find('(').unwrap()..open.len() - 3].to_owned(), declared.to_owned())
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(
        arguments("{% cache 1,\n\ntags = [\n'a',\r\n'b'\n],\nunless=n %}"),
        pair("( 1\n\n\n\n\n,\n(n) and true )", "(tags = [ 'a',\r 'b' ])")
    );
    assert_eq!(
        arguments("{% cache 1, stale\n=\n30,\n tags=x,\n %}"),
        pair("( 1\n\n\n\n)", "(stale = 30, tags=x)")
    );
    // A string moves together with its newlines.
    assert_eq!(
        arguments("{% cache 1,\n tags=['a\n\nb',\n'c'],\n refresh=n %}"),
        pair("( 1\n\n,\n (n) and true )", "(tags=['a\n\nb', 'c'])")
    );
    // If there are no other newlines, none stays.
    assert_eq!(
        arguments("{% cache 1, tags=['a\nb'], unless=n %}"),
        pair("( 1, (n) and true )", "(tags=['a\nb'])")
    );
}

#[test]
fn text_after_a_moved_option_keeps_its_line() {
    for syntax in [Syntax::minijinja(), Syntax::tera()] {
        let source = "a\n{% cache\n 300, 'x',\n tags=[\n  'a',\n  'b'\n ],\n unless=n|nothing,\n stale=\n9 -%}\n{% endcache %}";
        let error = print(source, &syntax).unwrap_err();
        assert!(error.contains("page.html:8"), "{error}");
        let source = source.replace("|nothing", "") + "\n{{ n|nothing }}";
        let error = print(&source, &syntax).unwrap_err();
        assert!(error.contains("page.html:12"), "{error}");
    }
}

#[test]
fn the_map_leads_from_a_moved_option_to_the_authors_text() {
    for syntax in [Syntax::minijinja(), Syntax::tera()] {
        let source =
            "a\n{% cache 9, 'x', tags=[\nfirst], version=second, stale=third %}b{% endcache %}";
        let page = rewrite("page.html", source, &syntax).unwrap();
        let text = page.source();
        let original = |start: usize, end: usize| &source[page.map().original_range(start..end)];
        for word in ["tags=[", "first]", "second", "stale=third", "'x'"] {
            let at = text.find(word).unwrap();
            assert_eq!(original(at, at + word.len()), word);
            assert_eq!(source[page.map().original(at)..].find(word), Some(0));
        }
        let moved = text.find("tags=[").unwrap();
        assert_eq!(original(moved, text.find("first]").unwrap() + 6), "tags=[\nfirst]");
        let tag = "{% cache 9, 'x', tags=[\nfirst], version=second, stale=third %}";
        let ticket = text.find("__fragcache_ticket").unwrap();
        assert_eq!(original(ticket, ticket + 5), tag);
        // A range from a later argument to an earlier one.
        let second = text.find("second").unwrap();
        assert_eq!(original(second, moved + 4), "tags=[\nfirst], version=second");
    }
}

#[test]
fn using_is_a_value_of_the_call_that_opens_the_block() {
    let source = "{% cache 9, \"x\", unless=n, using = \"pages\", version=n %}b{% endcache %}";
    let open = |syntax| lowered(source, &syntax).split("{{").next().unwrap().to_owned();
    assert_eq!(
        open(Syntax::minijinja()),
        "{% if SITEucv|__fragcache_open( 9, \"x\", (n) and true, \"pages\", n ) %}"
    );
    assert_eq!(
        open(Syntax::tera()),
        "{% if [SITEucv, 9, \"x\", n, \"pages\", n ] | __fragcache_open %}"
    );
    let bare = lowered("{% cache using=n %}b{% endcache %}", &Syntax::minijinja());
    assert!(bare.starts_with("{% if SITEc|__fragcache_open( n ) %}"), "{bare}");
}

#[test]
fn a_block_knows_the_cache_it_names() {
    for syntax in [Syntax::minijinja(), Syntax::tera()] {
        let source = "{% cache %}{% endcache %}{% cache using=x %}{% endcache %}\
                      {% cache 1, 'a', using='pages' %}{% endcache %}\
                      {% cache using='pa' ~ 'ges' %}{% endcache %}";
        let page = rewrite("p", source, &syntax).unwrap();
        let facts: Vec<_> = page
            .blocks()
            .iter()
            .map(|block| (block.has(BlockOption::Using), block.using()))
            .collect();
        let expected = [(false, None), (true, None), (true, Some("pages")), (true, None)];
        assert_eq!(facts, expected);
    }
}

#[test]
fn another_cache_is_another_source() {
    let digest = |using: &str| {
        let source = format!("{{% cache 1, 'a'{using} %}}{{% endcache %}}");
        rewrite("p", &source, &Syntax::tera()).unwrap().blocks()[0].digest().to_owned()
    };
    assert_ne!(digest(""), digest(", using='pages'"));
    assert_ne!(digest(", using='rows'"), digest(", using='pages'"));
}

#[test]
fn blocks_list_their_options() {
    let source = "{% cache %}{% endcache %}{% cache tags=t %}{% endcache %}\
                  {% cache stale=s, version=v %}{% endcache %}";
    let page = rewrite("p", source, &Syntax::tera()).unwrap();
    let facts: Vec<_> = page
        .blocks()
        .iter()
        .map(|block| {
            (
                block.has(BlockOption::Tags),
                block.has(BlockOption::Stale),
                block.has(BlockOption::Version),
            )
        })
        .collect();
    assert_eq!(facts, [(false, false, false), (true, false, false), (false, true, true)]);
}

#[test]
fn a_hit_evaluates_neither_tags_nor_stale() {
    let source = "{% cache 9, tags=[n/0], stale=n/0 %}b{% endcache %}";
    let page = rewrite("page.html", source, &Syntax::minijinja()).unwrap();
    let mut env = minijinja_env(SyntaxConfig::default());
    env.add_filter("__fragcache_open", |_: String, _: Rest<Value>| true);
    env.add_filter("__fragcache_hit", |_: Value| "hit");
    assert_eq!(env.render_str(page.source(), context()).as_deref().ok(), Some("hit"));
    assert!(render_minijinja(&SyntaxConfig::default(), page.source()).is_err());

    let page = rewrite("page.html", source, &Syntax::tera()).unwrap();
    let mut engine = tera_engine();
    engine.register_filter(
        "__fragcache_open",
        |_: tera::Value, _: tera::Kwargs, _: &tera::State| -> bool { true },
    );
    assert_eq!(render_tera_in(engine, page.source()).as_deref(), Ok(""));
    assert!(render_tera_in(tera_engine(), page.source()).is_err());
}

#[test]
fn custom_delimiters_and_line_statements() {
    let options =
        "cache 300, 'x', n, tags=['%}', {'a': {'b': '}}'}}], stale='30s', using='pages', version=n";
    for config in generated::configs() {
        let syntax = syntax_of(&config);
        let (start, end) = syntax.block_delimiters();
        let mut sources =
            vec![format!("a {start}- {options} -{end} b {start}  endcache {end}\n c")];
        if let Some(prefix) = syntax.line_statement_prefix() {
            sources.push(format!("a\n  {prefix} {options}\n b\n{prefix} endcache\nc"));
            let lines = options.replace("['%}', ", "[\n'x',\n\n");
            sources.push(format!("a\n  {prefix} {lines}\n b\n{prefix} endcache\nc"));
        }
        for source in sources {
            let page = rewrite("page.html", &source, &syntax).unwrap();
            assert_eq!(page.source().matches('\n').count(), source.matches('\n').count());
            let native = rewrite_as_if(&source, &page);
            let expected = render_minijinja(&config, &native).unwrap();
            assert_eq!(render_minijinja(&config, page.source()), Ok(expected), "{source}");
        }
    }
}

/// The source with `if true` in place of its one cache block, on as many lines.
fn rewrite_as_if(source: &str, page: &Rewritten<'_>) -> String {
    let tag = &source[page.blocks()[0].span()];
    let start = source.find("cache").unwrap();
    let end = source.find("version=n").unwrap() + "version=n".len();
    assert!(tag.contains("endcache"));
    let lines = source[start..end].matches('\n').count();
    let filler = if lines == 0 { String::new() } else { format!(" or [{}]", "\n".repeat(lines)) };
    let native = format!("{}if true{filler}{}", &source[..start], &source[end..]);
    native.replace("endcache", "endif")
}

#[test]
fn a_block_may_have_options_however_deep_it_lies() {
    // One level less than without options in MiniJinja, where a list in a call takes levels, too.
    for (syntax, most) in [(Syntax::minijinja(), 48), (Syntax::tera(), 13)] {
        let open = "{% cache 1, 'a', tags=['a'], stale=30, version=1 %}".repeat(most);
        let source = format!("{open}x{}", "{% endcache %}".repeat(most));
        assert_eq!(print(&source, &syntax).as_deref(), Ok("x"));
    }
}

#[test]
fn options_that_can_never_be_right_are_refused() {
    let long = "é".repeat(129);
    let many = "'a',".repeat(65);
    let tag = |options: &str| format!("{{% cache 1, 'a', {options} %}}{{% endcache %}}");
    let cases = [
        ("tags='nav'", 23, "`tags` is the string `'nav'`, but takes a list: write `tags=['nav']`"),
        ("tags=\"\"", 23, "`tags` is the string `\"\"`"),
        ("tags=7", 23, "`tags` is the number `7`, but takes a list: write `tags=[\"nav\"]`"),
        ("tags=-1.5", 23, "`tags` is the number `-1.5`"),
        ("tags=true", 23, "`tags` is the boolean `true`"),
        ("tags={'a': [1]}", 23, "`tags` is the map `{'a': [1]}`"),
        ("tags=['a', '']", 29, "this tag is empty: write a text to delete the fragment by"),
        (&format!("tags=[x,\n'{long}']"), 1, "the tag `éééé"),
        (&format!("tags=[{many}]"), 23, "`tags` lists 65 tags, but a fragment can have at most 64"),
        ("stale=true", 24, "`stale` is `true`, which is a boolean: write for how long"),
        ("stale=-1", 24, "`stale` is `-1`, which is negative"),
        ("stale=0", 24, "`stale` is `0`, which is zero"),
        ("stale=-0.0", 24, "`stale` is `-0.0`, which is zero"),
        ("stale='0s'", 24, "`stale` is `'0s'`, which is zero"),
        ("stale='0'", 24, "`stale` is `'0'`, which is zero"),
        ("stale=1e300", 24, "`stale` is `1e300`, which is longer than a clock can count"),
        ("stale='999y'", 24, "`stale` is `'999y'`, which is longer than a clock can count"),
        ("stale='99999999999999999999y'", 24, "`stale` is `'99999999999999999999y'`, which is lon"),
        ("stale='soon'", 24, "`stale` is `'soon'`, which is not a duration: write for how long"),
        ("stale='del'", 24, "`stale` is `'del'`, which is not a duration"),
        ("stale=''", 24, "`stale` is `''`, which is not a duration"),
        (
            "using=''",
            24,
            "`using` is `''`, which is not a valid cache name: write the name of one cache",
        ),
        ("using='my pages'", 24, "`using` is `'my pages'`, which is not a valid cache name"),
        ("using=\"é\"", 24, "`using` is `\"é\"`, which is not a valid cache name"),
        (&format!("using='{}'", "p".repeat(65)), 24, "`using` is `'pppp"),
        (
            "using=true",
            24,
            "`using` is `true`, a boolean: write the name of one cache, such as `using",
        ),
        ("using=7", 24, "`using` is `7`, a number"),
        ("using=-1.5", 24, "`using` is `-1.5`, a number"),
        ("using=['pages']", 24, "`using` is `['pages']`, a list"),
        ("using={'pages': 1}", 24, "`using` is `{'pages': 1}`, a map"),
        ("using=none", 24, "`using` is `none`, not a name: write the name of one cache"),
        ("using=*x", 24, "`*x` unpacks a value into the arguments of `cache`: write `using=`"),
        ("using=x = y", 24, "`x = y` is an assignment, not a value of `using`"),
        ("using='a', using='b'", 29, "option `using` is given twice: keep one of them"),
        ("version=*x", 26, "`*x` unpacks a value into the arguments of `cache`: write `version=`"),
        ("tags=...x", 23, "`...x` unpacks a value"),
        ("unless=x = y", 25, "`x = y` is an assignment, not a value of `unless`: write `==` to"),
        ("version=a='b'", 26, "`a='b'` is an assignment"),
        ("tags=['a'], tags=['b']", 30, "option `tags` is given twice: keep one of them"),
        ("stale=, tags=x", 18, "option `stale` has no value: write `stale=` and an expression"),
    ];
    for (options, column, message) in cases {
        let line = if options.contains('\n') { 2 } else { 1 };
        both(&[(&tag(options), &format!("{line}:{column} {message}"))]);
    }
}

#[test]
fn values_known_only_while_rendering_are_accepted() {
    for options in [
        "tags=[]",
        "tags=nav",
        "tags=['a',]",
        "tags=none",
        "tags=['a'] + ['b']",
        "tags=['a'] if x else 'b'",
        "tags=[7, '']| f",
        "tags=['\\x']",
        "tags='a' ~ b",
        "stale=none",
        "stale=x",
        "stale=0.5",
        "stale=1_000",
        "stale='1h 30m'",
        "stale=' 30 '",
        "stale=0 + 1",
        "stale='soon'|f",
        "stale=0x10",
        "version=x == y",
        "version=f(a=1)",
        "version=none",
        "using='pages'",
        "using=\"a-Z_0.9\"",
        "using='default'",
        "using='page' ~ 's'",
        "using=site.cache",
        "using=pages if big else 'default'",
        "unless=a, using='pages', shared=true, version=b, refresh=c, stale=9, tags=d",
    ] {
        let source = format!("{{% cache 'del', 'a', {options} %}}{{% endcache %}}");
        accepted(&Syntax::minijinja(), &[&source]);
        accepted(&Syntax::tera(), &[&source]);
    }
    let tags = "'a',".repeat(64);
    let most = format!("{{% cache tags=[{tags} ] %}}{{% cache tags=['{tags}'] %}}{{% endcache %}}");
    accepted(&Syntax::tera(), &[&format!("{most}{{% endcache %}}")]);
    refused(
        &Syntax::tera(),
        &[("{% cache stale=9, 1 %}{% endcache %}", "1:19 `1` stands after the option `stale`")],
    );
}

/// Options in any order, each on any number of lines.
fn options() -> impl Strategy<Value = String> {
    let blank = || select(vec!["", " ", "\n", "\r\n", "\n\n", " \n\t"]);
    let option = |name: &'static str, values: Vec<&'static str>| {
        (blank(), blank(), blank(), blank(), select(values))
            .prop_map(move |(a, b, c, d, value)| format!(",{a}{name}{b}={c}{value}{d}"))
    };
    let all = (
        option("tags", vec!["[]", "['a',\nn]", "[\n'a\nb'\n,\n\"\n\"]", "xs", "['{% x %}']"]),
        option("stale", vec!["30", "'30s'", "'1h\n30m'", "n"]),
        option("version", vec!["n", "(n,\nn)[0]", "'a\nb'"]),
        option("unless", vec!["n\n==\n4", "false"]),
        option("refresh", vec!["n ==\n4"]),
        option("shared", vec!["true"]),
        option("using", vec!["'pages'", "'page' ~\n's'", "n"]),
    );
    let all = all.prop_map(|(a, b, c, d, e, f, g)| vec![a, b, c, d, e, f, g]);
    all.prop_flat_map(|list| prop::sample::subsequence(list.clone(), 0..=list.len()))
        .prop_shuffle()
        .prop_map(|list| list.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn options_in_any_order_keep_lines_and_print_the_body(options in options()) {
        let source = format!("a\n{{% cache 9, 'x'{options} -%}}\n{{{{ n }}}}\n{{% endcache %}}\n");
        for syntax in [Syntax::minijinja(), Syntax::tera()] {
            let source = match syntax.dialect() {
                Dialect::MiniJinja => source.clone(),
                // Tera has no tuples.
                Dialect::Tera => source.replace("(n,\nn)", "[n,\nn]"),
            };
            let page = rewrite("page.html", &source, &syntax).unwrap();
            let text = page.source();
            prop_assert_eq!(text.matches('\n').count(), source.matches('\n').count());
            let printed = print(&source, &syntax);
            prop_assert!(printed.as_deref().is_ok_and(|out| out.trim_end() == "a\n3"), "{:?} {}", printed, text);
            let tag = source.find("-%}").unwrap() + 3;
            for (at, c) in text.char_indices() {
                let range = page.map().original_range(at..at + c.len_utf8());
                prop_assert!(source[range.clone()].starts_with(c) || range == (2..tag) || range.start >= tag);
            }
        }
    }
}

#[test]
fn a_marker_that_hides_the_word_is_explained() {
    let both = [
        ("{% - cache 300 %}x{% endcache %}", "`-` before `cache`", "right after the delimiter"),
        ("{% cache 300 %}x{% - endcache %}", "`-` before `endcache`", "right after the delimiter"),
        ("{%-- cache 300 %}x{% endcache %}", "`-` and `-`", "keep one of them"),
    ];
    let minijinja = [
        ("{% + cache 300 %}x{% endcache %}", "`+` before `cache`", "right after the delimiter"),
        ("{%+- cache 300 %}x{% endcache %}", "`+` and `-`", "keep one of them"),
    ];
    let tera = [
        ("{%+ cache 300,'a' %}x{% endcache %}", "`+` before `cache`", "Tera has only `-`"),
        ("{% + cache 300 %}x{% endcache %}", "`+` before `cache`", "Tera has only `-`"),
        ("{%-+ cache 300 %}x{% endcache %}", "`+` before `cache`", "remove the `+`"),
        ("{% cache 300 %}x{%+ endcache %}", "`+` before `endcache`", "remove the `+`"),
    ];
    for (syntax, own) in [(Syntax::minijinja(), &minijinja[..]), (Syntax::tera(), &tera[..])] {
        for (source, marker, advice) in both.iter().chain(own) {
            let error = rewrite("page.html", source, &syntax).unwrap_err();
            let message = error.message();
            assert!(message.starts_with(marker) && message.contains(advice), "{source}: {error}");
        }
    }
}
