//! Dependencies of blocks on other templates: batches, clones, globs, fallback prefixes,
//! refusals. The behaviour that both engines share is in the workspace's stories.

use fragcache::FragmentCache;
use tera::{Context, Tera, context};

use crate::support::Site;

const PAGE: &str = "{% cache 300, \"x\" %}{{ n }} {% include \"a\" %}{% endcache %}";

fn n(n: u32) -> Context {
    context! { n => &n }
}

#[test]
fn a_clone_goes_its_own_way() {
    let mut site = Site::loaded(&[("page", PAGE), ("a", "A")]);
    let mut twin = site.tera.clone();
    fragcache_tera::add_raw_template(&mut twin, "page", &format!("twin {PAGE}")).unwrap();
    site.add("a", "edited");
    assert_eq!(site.render("page", &n(1)), "1 edited");
    assert_eq!(fragcache_tera::render(&twin, "page", &n(2)).unwrap(), "twin 2 A");
    fragcache_tera::add_raw_template(&mut twin, "a", "twin A").unwrap();
    assert_eq!(site.render("page", &n(3)), "1 edited");
    assert_eq!(fragcache_tera::render(&twin, "page", &n(4)).unwrap(), "twin 4 twin A");
}

#[test]
fn templates_of_another_tera_do_not_come_along() {
    let site = Site::loaded(&[("page", PAGE), ("a", "A")]);
    let mut other = Tera::new();
    other.register_from(&site.tera);
    fragcache_tera::add_raw_template(&mut other, "a", "other A").unwrap();
    assert_eq!(other.get_template_names().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn a_refused_template_changes_nothing() {
    let mut site = Site::loaded(&[("page", PAGE), ("a", "A")]);
    assert_eq!(site.render("page", &n(1)), "1 A");
    for broken in ["{% cache %}", "{% if %}", "{% include \"none\" %}"] {
        assert!(fragcache_tera::add_raw_template(&mut site.tera, "a", broken).is_err());
        assert_eq!(site.render("page", &n(2)), "1 A");
    }
    // A component that the page's blocks call is removed: the error is then in the page.
    site.add("c", "{% component c() %}c{% endcomponent %}");
    site.add("calls", "{% cache %}\n{{ <c /> }}{% endcache %}");
    let error = fragcache_tera::add_raw_template(&mut site.tera, "c", "gone").unwrap_err();
    assert!(error.to_string().contains("calls:2:"), "{error}");
    assert!(!error.to_string().contains("__fragcache"), "{error}");
    assert_eq!(site.render("calls", &n(3)), "\nc");
}

#[test]
fn errors_are_explained_against_the_author_s_source() {
    let mut site = Site::loaded(&[
        ("page", "{% cache 60 %}{{ oops }}{% include \"a\" %}{% endcache %}"),
        ("a", "A"),
    ]);
    site.add("a", "edited");
    let error = fragcache_tera::render(&site.tera, "page", &n(1)).unwrap_err();
    let shown = fragcache_tera::explain(&site.tera, &error);
    assert!(shown.contains("--> page:1:18"), "{shown}");
    assert!(shown.contains("1 | {% cache 60 %}{{ oops }}"), "{shown}");
}

#[test]
fn a_component_may_move_between_templates() {
    let component = |text: &str| format!("{{% component c() %}}{text}{{% endcomponent %}}");
    let mut site = Site::loaded(&[
        ("page", "{% cache 300, \"x\" %}{{ n }} {{ <c /> }}{% endcache %}"),
        ("old", &component("c")),
    ]);
    assert_eq!(site.render("page", &n(1)), "1 c");
    let moved = component("moved");
    fragcache_tera::add_raw_templates(&mut site.tera, [("old", ""), ("new", &moved)]).unwrap();
    assert_eq!(site.render("page", &n(2)), "2 moved");
}

#[test]
fn fallback_prefixes_are_followed() {
    let mut tera = Tera::new();
    tera.set_fallback_prefixes(["themes/cool/", "themes/base/"]).unwrap();
    fragcache_tera::add_to_tera(&mut tera, FragmentCache::in_memory()).unwrap();
    let mut add = |name: &str, source: &str, count: u32| {
        fragcache_tera::add_raw_template(&mut tera, name, source).unwrap();
        match tera.contains_template("page") {
            true => fragcache_tera::render(&tera, "page", &n(count)).unwrap(),
            false => String::new(),
        }
    };
    add("themes/base/a", "base", 1);
    assert_eq!(add("page", PAGE, 2), "2 base");
    assert_eq!(add("themes/base/a", "edited base", 3), "3 edited base");
    assert_eq!(add("themes/cool/a", "cool", 4), "4 cool");
    assert_eq!(add("a", "own", 5), "5 own");
    assert_eq!(add("themes/cool/a", "unused", 6), "5 own");
}

#[cfg(feature = "glob_fs")]
#[test]
fn an_edited_file_counts_when_the_glob_is_loaded_again() {
    let folder = std::env::temp_dir().join(format!("fragcache-follow-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, source: &str| std::fs::write(folder.join(name), source).unwrap();
    write("page", PAGE);
    write("a", "A");
    let mut site = Site::new();
    let glob = format!("{}/**/*", folder.display());
    fragcache_tera::load_from_glob(&mut site.tera, &glob).unwrap();
    assert_eq!(site.render("page", &n(1)), "1 A");
    fragcache_tera::full_reload(&mut site.tera).unwrap();
    assert_eq!(site.render("page", &n(2)), "1 A");
    write("a", "edited");
    fragcache_tera::full_reload(&mut site.tera).unwrap();
    assert_eq!(site.render("page", &n(3)), "3 edited");
    std::fs::remove_dir_all(&folder).unwrap();
}
