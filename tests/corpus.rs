//! Replays the fuzzers' corpora on every change. The targets are in `fuzz/`.

use std::fs;
use std::path::{Path, PathBuf};

use fragcache::Timeout;
use fragcache::syntax::{Syntax, rewrite};
use fragcache::testing::check_record;

/// The files of one target's corpus.
fn files(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let paths = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    files.sort();
    assert!(!files.is_empty(), "{}", folder.display());
    files
}

/// The texts of one target's corpus, with their files.
fn corpus(target: &str) -> Vec<(PathBuf, String)> {
    let text = |(path, bytes)| String::from_utf8(bytes).ok().map(|text| (path, text));
    let texts: Vec<_> = files(target).into_iter().filter_map(text).collect();
    assert!(!texts.is_empty(), "{target}");
    texts
}

#[test]
fn rewriting_keeps_lines_and_maps_back() {
    for (path, text) in corpus("rewrite").into_iter().chain(corpus("scanner")) {
        // The scanner's target places the tags by two characters that no template needs.
        let source =
            text.replace('\u{1}', "{% cache 300, none, 1 %}").replace('\u{2}', "{% endcache %}");
        for syntax in [Syntax::minijinja(), Syntax::tera()] {
            let Ok(page) = rewrite("page.html", &source, &syntax) else { continue };
            let lines = |text: &str| text.matches('\n').count();
            assert_eq!(lines(page.source()), lines(&source), "{}", path.display());
            for offset in 0..=page.source().len() {
                assert!(page.map().original(offset) <= source.len(), "{}", path.display());
            }
            if page.blocks().is_empty() {
                assert_eq!(page.source(), source, "{}", path.display());
            }
        }
    }
}

#[test]
fn minijinja_takes_what_it_takes_with_an_if() {
    let takes = |source: &str| minijinja::Environment::new().template_from_str(source).is_ok();
    let mut seen = 0;
    for (path, text) in corpus("scanner") {
        let cached =
            text.replace('\u{1}', "{% cache 300, none, 1 %}").replace('\u{2}', "{% endcache %}");
        let native =
            text.replace('\u{1}', "{% if (300, none, 1) %}").replace('\u{2}', "{% endif %}");
        if let Ok(page) = rewrite("page.html", &cached, &Syntax::minijinja()) {
            assert_eq!(takes(page.source()), takes(&native), "{}", path.display());
            seen += page.blocks().len();
        }
    }
    assert!(seen > 0, "no corpus file holds a cache block");
}

#[test]
fn durations_are_positive_or_refused_with_advice() {
    for (path, text) in corpus("timeout") {
        match Timeout::parse(&text) {
            Ok(Timeout::After(life)) => assert!(!life.is_zero(), "{}", path.display()),
            Ok(timeout) => assert_eq!(timeout, Timeout::Delete, "{}", path.display()),
            Err(error) => assert!(error.message().contains("write "), "{}", path.display()),
        }
    }
}

#[test]
fn any_bytes_are_an_entry_of_a_store_or_refused() {
    let (mut read, mut refused) = (0, 0);
    for (_, bytes) in files("record") {
        *if check_record(&bytes) { &mut read } else { &mut refused } += 1;
    }
    assert!(read > 0 && refused > 0, "{read} read and {refused} refused");
}
