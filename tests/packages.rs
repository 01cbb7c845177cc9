//! Rules for what is published.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::support::fixtures;

struct Package {
    folder: PathBuf,
    manifest: toml::Table,
}

impl Package {
    fn all() -> Vec<Self> {
        let root = fixtures("..");
        let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
        let workspace: toml::Table = read(root.join("Cargo.toml")).parse().unwrap();
        let members = workspace["workspace"]["members"].as_array().unwrap();
        let folders = members.iter().map(|member| root.join(member.as_str().unwrap()));
        let packages = folders.map(|folder| {
            let manifest = read(folder.join("Cargo.toml")).parse().unwrap();
            Self { folder, manifest }
        });
        packages.collect()
    }

    fn field(&self, name: &str) -> Option<&toml::Value> {
        self.manifest["package"].get(name)
    }

    fn name(&self) -> &str {
        self.field("name").unwrap().as_str().unwrap()
    }

    fn is_published(&self) -> bool {
        self.field("publish").is_none()
    }
}

#[test]
fn exactly_the_published_crates_are_packaged() {
    let private: BTreeSet<String> = Package::all()
        .iter()
        .filter(|package| !package.is_published())
        .map(|package| package.name().to_owned())
        .collect();
    assert!(!private.is_empty());
    for script in ["run", "long"] {
        let script = std::fs::read_to_string(fixtures("../.ci").join(script)).unwrap();
        let command = script.lines().skip_while(|line| !line.starts_with("cargo package"));
        let mut excluded = BTreeSet::new();
        for line in command {
            let mut words = line.split_whitespace();
            while let Some(word) = words.next() {
                if word == "--exclude" {
                    excluded.insert(words.next().unwrap().to_owned());
                }
            }
            if !line.ends_with('\\') {
                break;
            }
        }
        assert_eq!(excluded, private);
    }
}

#[test]
fn a_published_crate_has_its_metadata() {
    let packages = Package::all();
    let published = packages.iter().filter(|package| package.is_published());
    for package in published {
        let name = package.name();
        for field in ["description", "license", "repository", "rust-version", "categories"] {
            assert!(package.field(field).is_some(), "{name} has no {field}");
        }
        let keywords = package.field("keywords").unwrap().as_array().unwrap();
        assert!((1..=5).contains(&keywords.len()), "{name} has {} keywords", keywords.len());
        assert_eq!(
            package.field("documentation").unwrap().as_str(),
            Some(&*format!("https://docs.rs/{name}")),
        );
        for file in ["README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
            let text = std::fs::read_to_string(package.folder.join(file));
            assert!(text.is_ok_and(|text| text.len() > 300), "{name} has no {file}");
        }
        let minimum = package.field("rust-version").unwrap();
        assert!(minimum.get("workspace").is_some(), "{name} has a minimum of its own");
    }
}
