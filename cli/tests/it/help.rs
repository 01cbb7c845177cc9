//! The output of `--help`.

use crate::place::run_with;

#[test]
fn help_says_the_same_as_before() {
    insta::assert_snapshot!("fragcache", run_with(&[], &["--help"]).done());
    for command in
        ["stats", "get", "scan", "check", "delete", "invalidate", "clear", "mode", "sweep"]
    {
        insta::assert_snapshot!(command, run_with(&[], &[command, "--help"]).done());
    }
}

#[test]
fn usage_that_is_wrong_ends_by_code_2() {
    for arguments in [
        &[][..],
        &["no-such-command"],
        &["delete"],
        &["delete", "row", "--name", "row"],
        &["delete", "row", "--dry-run"],
        &["get", "row", "1", "--line", "7"],
        &["delete", "--name", "row", "--parts", "[1]"],
        &["delete", "--name", "row", "--line", "7"],
        &["delete", "--template", "page.html", "--nth", "2"],
        &["delete", "--template", "page.html", "--parts", "[1]"],
        &["invalidate"],
        &["mode", "bypass", "--namespace", "shop"],
    ] {
        assert_eq!(run_with(&[], arguments).code, 2, "{arguments:?}");
    }
    for (arguments, expected) in [
        (["get", "row", "--parts", "{}"], "is not a list"),
        (["get", "row", "--parts", "[{}]"], "contains an object"),
        (["get", "row", "--namespace", ""], "--namespace is empty"),
        (["get", "row", "--namespace", "a\\b"], "single backslash"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = format!("file:{}", folder.path().display());
        let said = run_with(&[], &[&["--store", &store][..], &arguments].concat()).stopped(2);
        assert!(said.contains(expected), "{said}");
    }
}
