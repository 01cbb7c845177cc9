//! The table of canonical texts: a value written in a template of either engine and in Rust has one
//! key, and values with other texts have other keys.

use std::collections::BTreeMap;

use fragcache::{FragmentKey, fragment_key, make_template_fragment_key};
use serde::Deserialize;
use serde_json::json;

use crate::support::{Kind, cache, fixtures};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    row: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// The vary parts as a template writes them.
    expression: String,
    /// The same in Rust; the name of an arm below.
    rust: String,
    shown: String,
}

impl Row {
    fn key(&self) -> FragmentKey {
        const NONE: Option<&str> = None;
        match self.rust.as_str() {
            "42" => fragment_key!("k", 42_u8),
            "42.0" => fragment_key!("k", 42.0),
            "2" => fragment_key!("k", 2_i64),
            "2.0" => fragment_key!("k", 2.0_f32),
            "0" => fragment_key!("k", 0),
            "-0.0" => fragment_key!("k", -0.0),
            "-7" => fragment_key!("k", -7_i16),
            "1.5" => fragment_key!("k", 1.5),
            "0.1 + 0.2" => fragment_key!("k", 0.1 + 0.2),
            "1e-7" => fragment_key!("k", 1e-7),
            "1e21" => fragment_key!("k", 1e21),
            "u64::MAX" => fragment_key!("k", u64::MAX),
            "i64::MIN" => fragment_key!("k", i64::MIN),
            "9007199254740993" => fragment_key!("k", 9_007_199_254_740_993_u64),
            "true" => fragment_key!("k", true),
            "false" => fragment_key!("k", false),
            "none" => fragment_key!("k", NONE),
            "[]" => fragment_key!("k", [0; 0]),
            "[1, 2]" => fragment_key!("k", vec![1_u64, 2]),
            "[[1], [2]]" => fragment_key!("k", [[1], [2]]),
            r#"["a", "b"]"# => fragment_key!("k", ["a", "b"]),
            r#"["a"]"# => fragment_key!("k", ["a"]),
            r#""a", "b""# => make_template_fragment_key("k", ["a", "b"]),
            text => {
                let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                make_template_fragment_key("k", [inner.expect("an arm for every other value")])
            }
        }
    }
}

fn table() -> Vec<Row> {
    let text = std::fs::read_to_string(fixtures("keys/canonical.toml")).unwrap();
    toml::from_str::<Table>(&text).unwrap().row
}

fn context() -> serde_json::Value {
    json!({
        "tiny": 1e-7, "large": 1e21, "u64_max": u64::MAX, "i64_min": i64::MIN,
        "missing": null, "ids": [1, 2], "pairs": [[1], [2]], "safe": "<b>",
    })
}

#[test]
fn rust_finds_and_deletes_fragments_of_templates() {
    for kind in Kind::BOTH {
        for row in table() {
            let (cache, _clock) = cache();
            let mut engine = kind.with_cache(&cache);
            let source = format!("{{% cache 300, \"k\", {} %}}x{{% endcache %}}", row.expression);
            engine.add("page.html", &source).unwrap_or_else(|f| panic!("{kind} {row:?}: {f}"));
            engine
                .render("page.html", &context())
                .unwrap_or_else(|f| panic!("{kind} {row:?}: {f}"));
            assert!(cache.contains(&row.key()).unwrap(), "{kind} {row:?}");
            cache.delete(&row.key()).eventually();
            assert_eq!(cache.stats().entries, 0, "{kind} {row:?}");
        }
    }
}

#[test]
fn keys_are_equal_exactly_where_the_table_shows_the_same() {
    let rows = table();
    for row in &rows {
        assert_eq!(row.key().to_string(), row.shown, "{row:?}");
        for other in &rows {
            let equal = row.key() == other.key();
            assert_eq!(equal, row.shown == other.shown, "{row:?} and {other:?}");
        }
    }
}

#[test]
fn one_page_with_every_row_has_one_entry_for_each_key() {
    let rows = table();
    let mut distinct: BTreeMap<&str, usize> = BTreeMap::new();
    let source: String = rows
        .iter()
        .map(|row| {
            *distinct.entry(&row.shown).or_default() += 1;
            format!("{{% cache 300, \"k\", {} %}}x{{% endcache %}}\n", row.expression)
        })
        .collect();
    for kind in Kind::BOTH {
        let (cache, _clock) = cache();
        let mut engine = kind.with_cache(&cache);
        engine.add("page.html", &source).unwrap();
        engine.render("page.html", &context()).unwrap();
        for row in &rows {
            assert!(cache.contains(&row.key()).unwrap(), "{kind} {row:?}");
        }
        // Blocks with other arguments have other sources, so a key shared by several rows holds a
        // variant for each, up to the limit of variants.
        assert!(cache.stats().entries >= distinct.len() as u64, "{kind}");
        for shown in distinct.keys() {
            let key = rows.iter().find(|row| row.shown == *shown).unwrap().key();
            cache.delete(&key).eventually();
        }
        assert_eq!(cache.stats().entries, 0, "{kind}");
    }
}

#[test]
fn a_name_can_be_any_part() {
    for kind in Kind::BOTH {
        let (cache, _clock) = cache();
        let mut engine = kind.with_cache(&cache);
        engine
            .add(
                "page.html",
                "{% cache 300, 7 %}x{% endcache %}{% cache 300, [\"a\", 1] %}y{% endcache %}",
            )
            .unwrap();
        engine.render("page.html", &json!({})).unwrap();
        assert!(cache.contains(&fragment_key!("7")).unwrap(), "{kind}");
        assert!(cache.contains(&fragment_key!(["a", "1"])).unwrap(), "{kind}");
        cache.delete_name(7).eventually();
        assert!(!cache.contains(&fragment_key!(7)).unwrap(), "{kind}");
    }
}
