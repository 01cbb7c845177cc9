//! Templates from a folder.

use std::fs;
use std::path::PathBuf;

use fragcache::ErrorKind;
use tera::{Context, Tera};

use crate::support::Site;

/// A folder that is removed after the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fragcache-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("sub")).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, source: &str) {
        fs::write(self.0.join(name), source).unwrap();
    }

    fn glob(&self, pattern: &str) -> String {
        self.0.join(pattern).to_string_lossy().into_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn names(tera: &Tera) -> Vec<&str> {
    let mut names: Vec<_> = tera.get_template_names().collect();
    names.sort_unstable();
    names
}

#[test]
fn the_files_and_names_are_those_of_tera() {
    let folder = Folder::new("names");
    for name in ["a.html", "b.txt", "sub/c.html", "sub/d.xml"] {
        folder.write(name, "x");
    }
    for pattern in ["**/*", "*", "*.html", "**/*.{html,xml}", "s*/*.html", "sub/*"] {
        let mut native = Tera::new();
        native.load_from_glob(&folder.glob(pattern)).unwrap();
        let mut site = Site::new();
        fragcache_tera::load_from_glob(&mut site.tera, &folder.glob(pattern)).unwrap();
        assert_eq!(names(&site.tera), names(&native), "{pattern}");
        assert!(!names(&native).is_empty(), "{pattern}");
    }
}

#[test]
fn files_are_rewritten_and_can_be_loaded_again() {
    let folder = Folder::new("again");
    folder.write("sub/a.html", "{% cache 9, \"a\" %}{{ tick() }}old{% endcache %}");
    let mut site = Site::new();
    site.add("own", "mine");
    fragcache_tera::load_from_glob(&mut site.tera, &folder.glob("**/*.html")).unwrap();
    for _ in 0..2 {
        assert_eq!(site.render("sub/a.html", &Context::new()), "old");
    }
    assert_eq!(site.ticks(), 1);

    folder.write("sub/a.html", "{% cache 9, \"a\" %}{{ tick() }}new{% endcache %}");
    folder.write("b.html", "b");
    fragcache_tera::full_reload(&mut site.tera).unwrap();
    assert_eq!(site.render("sub/a.html", &Context::new()), "new");
    assert_eq!(names(&site.tera), ["b.html", "own", "sub/a.html"]);

    // A removed file keeps its last template.
    fs::remove_file(folder.0.join("b.html")).unwrap();
    fragcache_tera::full_reload(&mut site.tera).unwrap();
    assert_eq!(site.render("b.html", &Context::new()), "b");

    // A file that does not load changes nothing.
    folder.write("sub/a.html", "\n{% cache %}");
    folder.write("b.html", "changed");
    let error = fragcache_tera::full_reload(&mut site.tera).unwrap_err();
    assert!(error.to_string().ends_with("(in sub/a.html:2:1)"), "{error}");
    assert_eq!(site.render("sub/a.html", &Context::new()), "new");
    assert_eq!(site.render("b.html", &Context::new()), "b");

    // Tera's own reload does not know of our glob.
    assert!(site.tera.full_reload().is_err());
}

#[test]
fn a_glob_or_file_that_cannot_be_read_is_an_error() {
    let folder = Folder::new("unreadable");
    fs::write(folder.0.join("a.html"), b"\xff\xfe").unwrap();
    let mut site = Site::new();
    for (pattern, kind) in
        [("a.html", ErrorKind::Config), ("[*", ErrorKind::Config), ("*.html", ErrorKind::Io)]
    {
        let error =
            fragcache_tera::load_from_glob(&mut site.tera, &folder.glob(pattern)).unwrap_err();
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.downcast_ref::<fragcache::Error>().unwrap().kind(), kind, "{error}");
    }
    fragcache_tera::load_from_glob(&mut site.tera, "no/such/folder/*").unwrap();
    assert!(names(&site.tera).is_empty());
}
