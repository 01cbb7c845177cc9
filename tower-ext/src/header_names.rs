//! What request header names imply: a response for one visitor, or one that depends on more than
//! the address. Handlers read such headers and rarely list them in `Vary`.

use http::{HeaderMap, HeaderName};

/// Prefixes of words that identify the visitor, by their first letter: credentials, and user data
/// that proxies, gateways and single sign-on pass on. Words of a name are separated by `-`, `_` and
/// `.`.
fn beginnings(first: u8) -> &'static [&'static str] {
    match first {
        b'a' => &["accesstoken", "account", "admin", "apikey", "assertion", "auth"],
        b'b' => &["bearer"],
        b'c' => &[
            "cert",
            "claim",
            "clientcert",
            "company",
            "consumer",
            "cookie",
            "credential",
            "customer",
        ],
        b'd' => &["dpop"],
        b'e' => &["email", "entitlement", "eppn"],
        b'g' => &["group"],
        b'i' => &["identity", "idtoken", "imei", "impersonate", "imsi"],
        b'j' => &["jwt"],
        b'k' => &["key"],
        b'l' => &["login"],
        b'm' => &["member", "msisdn"],
        b'o' => &["oauth", "oidc", "org"],
        b'p' => {
            &["passcode", "passphrase", "password", "permission", "phone", "principal", "privilege"]
        }
        b'r' => &["realm", "role"],
        b's' => &[
            "saml",
            "scope",
            "secret",
            "session",
            "shib",
            "sso",
            "subject",
            "subscriber",
            "subscription",
        ],
        b't' => &["team", "tenant", "token"],
        b'u' => &["user"],
        b'w' => &["workspace"],
        _ => &[],
    }
}

/// Whole words that identify the visitor. As prefixes they would match `dnt`, `ping` and `side`.
const WHOLE: [&str; 7] = ["cn", "dn", "otp", "pin", "pwd", "sid", "uid"];

/// Words that identify the visitor together with an identifier, such as `X-Device-Id`. Others may
/// be shared by many visitors: `Device-Memory`.
const WITH_ID: [&str; 8] =
    ["cart", "client", "device", "guest", "installation", "person", "profile", "visitor"];

/// Names that identify the visitor without any such word: Cloudflare Access, Authelia, and
/// signatures, which name their key. A star stands for any suffix.
const NAMES: [&str; 4] = ["cf-access-*", "remote-name", "signature", "signature-input"];

/// Headers that override the request method.
const OVERRIDES: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];

/// Proxy headers with the host and the scheme that the client sees; sorted.
const HOST: [&str; 18] = [
    "cf-visitor",
    "cloudfront-forwarded-proto",
    "forwarded",
    "front-end-https",
    "x-envoy-original-host",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-protocol",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-host",
    "x-http-host-override",
    "x-original-host",
    "x-original-proto",
    "x-scheme",
    "x-url-scheme",
];

/// Proxy headers with the path that the client sees; sorted.
const PATH: [&str; 10] = [
    "x-envoy-original-path",
    "x-forwarded-path",
    "x-forwarded-prefix",
    "x-forwarded-uri",
    "x-forwarded-url",
    "x-original-uri",
    "x-original-url",
    "x-replaced-path",
    "x-rewrite-url",
    "x-script-name",
];

/// Headers that request a part of a page, from htmx, Turbo, Inertia, PJAX or Unpoly; sorted. A star
/// stands for any suffix.
const PARTS: [&str; 6] =
    ["hx-*", "turbo-frame", "x-inertia*", "x-pjax*", "x-requested-with", "x-up-*"];

/// The role of a header in the key of every request that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InKey {
    /// The host or the scheme that the client sees, as a proxy reports it.
    Host,
    /// The path that the client sees, or the part of a page that it requests.
    Path,
}

/// Whether a header of this name usually identifies the visitor.
pub(crate) fn says_who(name: &str) -> bool {
    // Browsers send these with every request. `Sec-Fetch-User` says whether the visitor has
    // clicked.
    if ["accept", "sec-ch-", "sec-fetch-"].iter().any(|common| name.starts_with(common)) {
        return false;
    }
    if NAMES.iter().any(|known| is_named(name, known)) {
        return true;
    }
    let mut words = words(name).peekable();
    while let Some(word) = words.next() {
        let next = words.peek().copied();
        if !is_identity(word) && !is_identified(word, next) {
            continue;
        }
        let is_machine = word == b"user" && matches!(next, Some(b"agent" | b"ip"));
        if !is_machine {
            return !is_against_forgery(name);
        }
    }
    false
}

fn words(name: &str) -> impl Iterator<Item = &[u8]> {
    name.as_bytes().split(|byte| b"-_.".contains(byte))
}

fn is_identity(word: &[u8]) -> bool {
    let known = word.first().map_or(&[][..], |first| beginnings(*first));
    known.iter().any(|beginning| word.starts_with(beginning.as_bytes()))
        || WHOLE.iter().any(|whole| word == whole.as_bytes())
}

/// Whether this word, alone or with the next one, is the identifier of a visitor.
fn is_identified(word: &[u8], next: Option<&[u8]>) -> bool {
    WITH_ID.iter().filter_map(|owner| word.strip_prefix(owner.as_bytes())).any(|rest| {
        let id = if rest.is_empty() { next } else { Some(rest) };
        matches!(id, Some(b"id" | b"identifier" | b"uuid"))
    })
}

/// Whether a name matches a list item. A star stands for any suffix.
fn is_named(name: &str, known: &str) -> bool {
    match known.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == known,
    }
}

/// Whether this is a CSRF token. It belongs to requests that write, and identifies no visitor by
/// itself.
fn is_against_forgery(name: &str) -> bool {
    words(name).any(|word| matches!(word, b"csrf" | b"xsrf"))
}

/// Whether a header of this name overrides the request method.
pub(crate) fn overrides_method(name: &str) -> bool {
    OVERRIDES.contains(&name)
}

/// The role of a header name in the key, regardless of the response's `Vary`.
pub(crate) fn in_key(name: &str) -> Option<InKey> {
    if HOST.binary_search(&name).is_ok() {
        Some(InKey::Host)
    } else if PATH.binary_search(&name).is_ok() || PARTS.iter().any(|part| is_named(name, part)) {
        Some(InKey::Path)
    } else {
        None
    }
}

/// The header rules of a view: the rules above, and its own.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeaderNames {
    private: Vec<HeaderName>,
    harmless: Vec<HeaderName>,
}

impl HeaderNames {
    pub(crate) fn set_private(&mut self, names: impl IntoIterator<Item = HeaderName>) {
        for name in names {
            self.harmless.retain(|other| *other != name);
            self.private.push(name);
        }
    }

    pub(crate) fn set_harmless(&mut self, names: impl IntoIterator<Item = HeaderName>) {
        for name in names {
            self.private.retain(|other| *other != name);
            self.harmless.push(name);
        }
    }

    pub(crate) fn is_harmless(&self, name: &HeaderName) -> bool {
        self.harmless.contains(name)
    }

    /// Whether the values of this header are secret: keys contain a digest of them.
    pub(crate) fn is_secret(&self, name: &HeaderName) -> bool {
        says_who(name.as_str()) || self.private.contains(name)
    }

    /// A header that makes the request private: neither declared harmless nor in the key.
    pub(crate) fn private<'h>(
        &self,
        headers: &'h HeaderMap,
        in_key: &[HeaderName],
    ) -> Option<&'h HeaderName> {
        headers
            .keys()
            .find(|name| self.is_secret(name) && !self.is_harmless(name) && !in_key.contains(name))
    }

    /// A header that overrides the request method.
    pub(crate) fn overrides_method<'h>(&self, headers: &'h HeaderMap) -> Option<&'h HeaderName> {
        headers.keys().find(|name| overrides_method(name.as_str()) && !self.is_harmless(name))
    }

    /// The request headers in the key, sorted. `with_host` is whether the host is in the key.
    pub(crate) fn in_key<'h>(
        &self,
        headers: &'h HeaderMap,
        with_host: bool,
    ) -> Vec<&'h HeaderName> {
        let counts = |name: &&HeaderName| match in_key(name.as_str()) {
            Some(InKey::Host) => with_host && !self.is_harmless(name),
            Some(InKey::Path) => !self.is_harmless(name),
            None => false,
        };
        let mut names: Vec<&HeaderName> = headers.keys().filter(counts).collect();
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_count_by_their_beginning() {
        for beginning in (b'a'..=b'z').flat_map(beginnings) {
            for end in ["", "0", "s", "z"] {
                assert!(is_identity(format!("{beginning}{end}").as_bytes()), "{beginning}{end}");
            }
        }
        for word in ["", "a", "ac", "dnt", "keep", "side", "t", "us", "zone"] {
            assert!(!is_identity(word.as_bytes()), "{word}");
        }
        for (name, expected) in [
            ("user-agent", false),
            ("x-user-ip", false),
            ("x-user-agent-user", true),
            ("x_user", true),
            ("x.user", true),
            ("xuser", false),
            ("x-pin", true),
            ("x-pingother", false),
            ("x-device-id", true),
            ("x-deviceid", true),
            ("x-client-identifier", true),
            ("x-device-type", false),
            ("device-memory", false),
            ("x-client-data", false),
            ("x-clientip", false),
            ("x-ms-client-request-id", false),
            ("x-csrf-token", false),
            ("x-token-xsrf", false),
        ] {
            assert_eq!(says_who(name), expected, "{name}");
        }
    }

    /// The names in backticks in the first column of the table row with this beginning.
    fn listed(beginning: &str) -> Vec<&'static str> {
        let page = include_str!("../../docs/views.md");
        let mut rows = page.lines().filter(|line| line.starts_with(&format!("| {beginning}")));
        let (row, more) = (rows.next().unwrap(), rows.next());
        assert_eq!(more, None, "{beginning}");
        row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2).collect()
    }

    #[test]
    fn the_page_lists_all_words() {
        let known: Vec<&str> =
            (b'a'..=b'z').flat_map(|first| beginnings(first).iter().copied()).collect();
        assert_eq!(listed("a header with one of these words"), known);
        assert_eq!(listed("one of these words alone"), WHOLE);
        assert_eq!(listed("the identifier of one of these"), WITH_ID);
        let names = listed("these names").into_iter().map(str::to_ascii_lowercase);
        assert_eq!(names.collect::<Vec<_>>(), NAMES);
        for words in [&known[..], &WHOLE, &WITH_ID, &NAMES] {
            assert!(words.is_sorted(), "{words:?}");
        }
    }

    #[test]
    fn what_the_page_says_that_others_send_says_who_asks() {
        let page = include_str!("../../docs/views.md");
        let table = page.split("| who sends it |").nth(1).unwrap();
        let rows: Vec<&str> =
            table.lines().skip(2).take_while(|row| row.starts_with('|')).collect();
        assert!(rows.len() > 15, "{rows:?}");
        for row in rows {
            let names: Vec<_> =
                row.split('|').nth(2).unwrap().split('`').skip(1).step_by(2).collect();
            assert!(!names.is_empty(), "{row}");
            for name in names {
                assert!(says_who(&name.replace('*', "z").to_ascii_lowercase()), "{name}");
            }
        }
    }

    #[test]
    fn the_page_lists_all_names_that_are_in_keys_or_override_methods() {
        for (row, names) in [
            ("what a proxy says of the address", &HOST[..]),
            ("the path before a proxy changed it", &PATH),
            ("which part of a page is asked for", &PARTS),
            ("with `X-HTTP-Method-Override`", &OVERRIDES),
        ] {
            let listed = listed(row).into_iter();
            // The parameters of `Forwarded` are in lower case.
            let listed = listed.filter(|name| !name.starts_with(|c: char| c.is_ascii_lowercase()));
            let mut listed: Vec<String> =
                listed
                    .map(|name| {
                        if name.starts_with('-') {
                            format!("x-forwarded{name}")
                        } else {
                            name.into()
                        }
                    })
                    .map(|name| name.to_ascii_lowercase())
                    .collect();
            listed.sort_unstable();
            assert_eq!(listed, names, "{row}");
        }
    }

    #[test]
    fn a_name_in_a_list_takes_part_in_the_key() {
        assert!(HOST.is_sorted() && PATH.is_sorted());
        assert!(HOST.iter().all(|name| in_key(name) == Some(InKey::Host)));
        assert!(PATH.iter().all(|name| in_key(name) == Some(InKey::Path)));
        for part in PARTS {
            let name = part.replace('*', "z");
            assert_eq!(in_key(&name), Some(InKey::Path), "{name}");
            assert_eq!(in_key(&format!("a{name}")), None, "{name}");
        }
    }

    #[test]
    fn names_of_addresses_and_visitors_are_distinct() {
        let names = ["x-forwarded-user", "x-original-user", "x-up-token", "hx-user", "x-auth"];
        for name in names {
            assert!(says_who(name), "{name}");
        }
        for name in ["forwarded", "x-forwarded-host", "x-original-url", "x-script-name"] {
            assert!(!says_who(name) && in_key(name).is_some(), "{name}");
        }
        for name in ["x-forwarded-for", "x-original-forwarded-for", "x-real-ip", "via"] {
            assert!(!says_who(name) && in_key(name).is_none(), "{name}");
        }
    }
}
