//! Stories: templates and a sequence of steps on one cache. Each file in `fixtures/stories`
//! runs in every engine it names. Outputs, evaluated bodies and events are a snapshot, and
//! each render is also compared with the same template with native tags.

mod parity;
mod story;
mod told;

use std::fmt::Write;

use story::Story;

use crate::support::fixtures;

#[test]
fn every_story_matches_its_record() {
    insta::glob!("../fixtures/stories", "*.toml", |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let story: Story =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        story.check();
        let mut told: Vec<(String, String)> = Vec::new();
        for engine in story.engines() {
            parity::check(&story, engine);
            let observed = told::tell(&story, engine, true);
            let quiet = told::tell(&story, engine, false);
            assert_eq!(observed.without_events(), quiet.without_events(), "{engine}, observed");
            told.push((engine.to_string(), observed.to_string()));
        }
        let same = told.windows(2).all(|pair| pair[0].1 == pair[1].1);
        let mut snapshot = String::new();
        if same {
            let names: Vec<&str> = told.iter().map(|(engine, _)| engine.as_str()).collect();
            write!(snapshot, "engines: {}\n\n{}", names.join(", "), told[0].1).unwrap();
        } else {
            for (engine, text) in &told {
                write!(snapshot, "engine: {engine}\n\n{text}\n").unwrap();
            }
        }
        insta::with_settings!({ description => &story.about, omit_expression => true,
            prepend_module_to_snapshot => false, snapshot_path => fixtures("stories/snapshots") }, {
            insta::assert_snapshot!("story", snapshot);
        });
    });
}
