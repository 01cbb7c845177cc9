//! Whole templates and folders: found blocks, large sources, files.

use std::fs;
use std::path::PathBuf;

use super::*;

#[test]
fn blocks_are_described_as_written() {
    let source = "é {% cache %}{% cache 9, 'a', x, y, refresh=r, shared=True %}{% endcache %}\
                  {% endcache %}\n{% cache 1, a %}{% endcache %}";
    let page = rewrite("p", source, &Syntax::minijinja()).unwrap();
    let facts: Vec<_> = page
        .blocks()
        .iter()
        .map(|block| {
            let place = (block.line(), block.column(), block.ordinal(), block.depth());
            (place, block.name(), block.vary(), block.is_unnamed(), block.has(BlockOption::Shared))
        })
        .collect();
    assert_eq!(
        facts,
        [
            ((1, 3, 1, 0), None, None, true, false),
            ((1, 14, 2, 1), Some("a"), Some(2), false, true),
            ((2, 1, 1, 0), None, Some(0), false, false),
        ]
    );
    assert!(
        page.blocks()[1].has(BlockOption::Refresh) && !page.blocks()[1].has(BlockOption::Unless)
    );
    let inner = page.blocks()[1].span();
    assert!(
        source[inner.clone()].starts_with("{% cache 9") && source[inner].ends_with("endcache %}")
    );
}

#[test]
fn the_digest_follows_every_byte_of_the_block_and_none_outside() {
    let digest = |source: &str| {
        rewrite("p", source, &Syntax::tera()).unwrap().blocks()[0].digest().to_owned()
    };
    let same = digest("{% cache 1 %}a{% endcache %}");
    assert_eq!(digest("before\n{% cache 1 %}a{% endcache %} after"), same);
    for other in [
        "{% cache 2 %}a{% endcache %}",
        "{%- cache 1 %}a{% endcache %}",
        "{% cache 1 %}b{% endcache %}",
        "{% cache 1 %}a{% endcache -%}",
    ] {
        assert_ne!(digest(other), same);
    }
    // Base64url of the 128 bits, most significant first.
    let bits = xxhash_rust::xxh3::xxh3_128(b"{% cache 1 %}a{% endcache %}");
    let first = same.bytes().next().unwrap();
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert_eq!(first, alphabet[(bits >> 122) as usize]);
}

#[test]
fn the_map_leads_from_an_engines_error_to_the_authors_text() {
    let source = "a\n{% cache 300, n|nothing %}{{ x|nothing }}{% endcache %}";
    let page = rewrite("page.html", source, &Syntax::minijinja()).unwrap();
    let places: Vec<_> = page
        .source()
        .match_indices("n|nothing")
        .chain(page.source().match_indices("x|nothing"))
        .map(|(at, text)| page.map().original_range(at..at + text.len()))
        .map(|range| &source[range])
        .collect();
    assert_eq!(places, ["n|nothing", "x|nothing"]);
    let close = page.source().find("endwith").unwrap();
    assert_eq!(&source[page.map().original_range(close..close + 3)], "{% endcache %}");
}

#[test]
fn a_large_template_takes_time_in_proportion() {
    for syntax in [Syntax::minijinja(), Syntax::tera()] {
        // One line, many blocks.
        let block = "<p class=\"{{ x }}\">{% cache 300, \"row\", x %}é{{ y }}{% endcache %}</p>";
        let source = block.repeat(10 * 1024 * 1024 / block.len());
        let page = rewrite("big.html", &source, &syntax).unwrap();
        assert_eq!(page.blocks().len(), source.len() / block.len());
        let last = page.blocks().last().unwrap();
        assert_eq!(last.ordinal() as usize, page.blocks().len());
        assert_eq!(last.column() as usize, source[..last.span().start].chars().count() + 1);

        let plain = "a { cache } {{ x }} # cache\n".repeat(400_000);
        let page = rewrite("big.html", &plain, &syntax).unwrap();
        assert!(matches!(page.into_source(), Cow::Borrowed(_)));
    }
}

#[test]
fn odd_template_names_stay_in_the_site() {
    for name in ["a\nb", "../x", "n\0l", "\"'\\{%%}", ""] {
        let page = rewrite(name, "{% cache %}a{% endcache %}", &Syntax::tera()).unwrap();
        assert_eq!(page.source().lines().count(), 1);
        let start = page.source().find('"').unwrap() + 1;
        let site = &page.source()[start..start + page.source()[start..].find('"').unwrap()];
        assert_eq!(BlockId::parse(site).unwrap().template(), name);
        assert!(render_tera_in(tera_engine(), page.source()).is_ok());
    }
}

/// A temporary folder, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fragcache-{name}-{}", std::process::id()));
        fs::remove_dir_all(&path).ok();
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn a_folder_is_rewritten_file_by_file() {
    let folder = Folder::new("whole");
    let (from, to) = (folder.0.join("from"), folder.0.join("to/deep"));
    fs::create_dir_all(from.join("b/c")).unwrap();
    let block = "{% cache %}{{ nonce }}{% endcache %}";
    fs::write(from.join("b/c/page.html"), block).unwrap();
    fs::write(from.join("b.html"), "plain\r\n").unwrap();
    fs::write(from.join("b/bytes.bin"), [0xff, 0, 1]).unwrap();
    let is_html = |path: &std::path::Path| path.extension().is_some_and(|end| end == "html");
    let files = rewrite_folder(&from, &to, &Syntax::tera(), is_html).unwrap();
    let names: Vec<_> = files.iter().map(RewrittenFile::name).collect();
    assert_eq!(names, ["b.html", "b/c/page.html"]);
    let warnings: Vec<_> = files.iter().flat_map(RewrittenFile::warnings).collect();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].to_string().ends_with("(in b/c/page.html:1:15)"), "{}", warnings[0]);
    let expected = rewrite("b/c/page.html", block, &Syntax::tera()).unwrap();
    assert_eq!(fs::read_to_string(to.join("b/c/page.html")).unwrap(), expected.source());
    assert_eq!(fs::read(to.join("b.html")).unwrap(), b"plain\r\n");
    assert_eq!(fs::read(to.join("b/bytes.bin")).unwrap(), [0xff, 0, 1]);

    let digest = |source: &str| {
        fs::write(from.join("b/c/page.html"), source).unwrap();
        let files = rewrite_folder(&from, &to, &Syntax::tera(), is_html).unwrap();
        files[1].blocks()[0].digest().to_owned()
    };
    for (path, uses) in [("b.html", "{% include 'b.html' %}"), ("c.svg", "{% include 'c.svg' %}")] {
        let block = format!("{{% cache %}}{uses}{{% endcache %}}");
        fs::write(from.join(path), "old").unwrap();
        let old = digest(&block);
        fs::write(from.join(path), "new").unwrap();
        assert_ne!(digest(&block), old, "{path}");
    }
    let block = "{% cache %}{{ <card/> }}{% endcache %}";
    let alone = digest(block);
    fs::write(from.join("b.html"), "{% component card() %}{% endcomponent %}").unwrap();
    assert_ne!(digest(block), alone);

    let error = rewrite_folder(&from, &to, &Syntax::tera(), |_| true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.message().contains("bytes.bin"), "{error}");

    fs::write(from.join("b.html"), "{% endcache %}").unwrap();
    let error = rewrite_folder(&from, &to, &Syntax::tera(), is_html).unwrap_err();
    assert_eq!(&*error.location().unwrap().template, "b.html");

    let error = rewrite_folder(folder.0.join("no"), &to, &Syntax::tera(), is_html).unwrap_err();
    assert!(error.message().starts_with("cannot open"), "{error}");
    let error = rewrite_folder(&from, from.join("out"), &Syntax::tera(), is_html).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}
