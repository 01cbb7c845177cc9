//! Builds the paths of routes, for deletion.

use std::fmt::Display;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// Characters that a path segment must encode: RFC 3986, 3.3.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Builds the path of a route with parameters in axum's syntax: `{id}`, and `{*rest}` for the rest
/// of the path, which keeps its slashes. Values are percent-encoded as browsers encode them. `None`
/// if a parameter of the route is missing.
///
/// A client may write the same path differently (`%7E` for `~`). That is another key, which the
/// built path does not delete. Use a tag to delete all of them.
///
/// ```
/// use fragcache_tower::path_of;
///
/// assert_eq!(path_of("/film/{id}", &[("id", &7)]).as_deref(), Some("/film/7"));
/// assert_eq!(path_of("/tag/{name}", &[("name", &"a/b c")]).as_deref(), Some("/tag/a%2Fb%20c"));
/// assert_eq!(path_of("/{*path}", &[("path", &"a/b")]).as_deref(), Some("/a/b"));
/// assert_eq!(path_of("/film/{id}", &[("name", &7)]), None);
/// ```
pub fn path_of(route: &str, parameters: &[(&str, &dyn Display)]) -> Option<String> {
    let mut path = String::new();
    let mut rest = route;
    while let Some((before, after)) = rest.split_once('{') {
        path.push_str(before);
        if let Some(after) = after.strip_prefix('{') {
            path.push('{');
            rest = after;
            continue;
        }
        let (name, after) = after.split_once('}')?;
        rest = after;
        let (name, keeps_slashes) = match name.strip_prefix('*') {
            Some(name) => (name, true),
            None => (name, false),
        };
        let (_, value) = parameters.iter().find(|(known, _)| *known == name)?;
        let value = value.to_string();
        let encode = |text: &str| utf8_percent_encode(text, SEGMENT).to_string();
        if keeps_slashes {
            let segments: Vec<String> = value.split('/').map(encode).collect();
            path.push_str(&segments.join("/"));
        } else {
            path.push_str(&encode(&value));
        }
    }
    path.push_str(&rest.replace("}}", "}"));
    Some(path)
}
