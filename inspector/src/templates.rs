//! The pages' templates, embedded in the program. All values that they print are escaped.

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};

/// Implements conversion of these types to template values.
macro_rules! for_templates {
    ($($name:ty),+ $(,)?) => {
        $(
            impl From<$name> for minijinja::Value {
                fn from(value: $name) -> Self {
                    Self::from(minijinja::value::Serde(value))
                }
            }
        )+
    };
}

pub(crate) use for_templates;

/// Name and source of each template.
const TEMPLATES: [(&str, &str); 6] = [
    ("frame.html", include_str!("../templates/frame.html")),
    ("parts.html", include_str!("../templates/parts.html")),
    ("overview.html", include_str!("../templates/overview.html")),
    ("names.html", include_str!("../templates/names.html")),
    ("name.html", include_str!("../templates/name.html")),
    ("missing.html", include_str!("../templates/missing.html")),
];

/// An environment with all templates.
pub(crate) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    for (name, source) in TEMPLATES {
        // A template that does not parse is missing when its page is requested; a
        // test requests each.
        let _ = environment.add_template(name, source);
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_parses() {
        for (name, source) in TEMPLATES {
            let mut fresh = environment();
            fresh.add_template(name, source).unwrap();
        }
    }
}
