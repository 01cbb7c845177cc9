//! Protection against forged forms (CSRF): a token in every form, bound to a cookie
//! of this site, and the headers in which a browser states where a form comes from.

use std::fmt::Write as _;

use axum::http::{HeaderMap, Uri, header};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The cookie that tokens are bound to.
const COOKIE: &str = "fragcache_inspector";

/// Number of hexadecimal digits in a visitor's number.
const DIGITS: usize = 32;

/// Key that signs form tokens. Never printed.
#[derive(Clone)]
pub(crate) struct Seal(Option<Hmac<Sha256>>);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// Creates a seal from this secret, or from a random one. If the system has no
    /// randomness, or the secret is shorter than 16 bytes, every form is refused.
    pub(crate) fn new(secret: Option<&[u8]>) -> Self {
        let drawn: Option<[u8; 32]> = draw();
        let secret = match (secret, &drawn) {
            (Some(given), _) => Some(given).filter(|given| given.len() >= 16),
            (None, drawn) => drawn.as_ref().map(|drawn| &drawn[..]),
        };
        Self(secret.and_then(|secret| Hmac::new_from_slice(secret).ok()))
    }

    /// The token for this visitor's forms.
    pub(crate) fn token(&self, visitor: &Visitor) -> String {
        let Some(mac) = &self.0 else { return String::new() };
        let sealed = mac.clone().chain_update(visitor.number.as_bytes()).finalize();
        hex(&sealed.into_bytes())
    }

    /// Whether a token was made for this visitor. The comparison takes constant time.
    pub(crate) fn holds(&self, visitor: &Visitor, token: &str) -> bool {
        let (Some(mac), Some(token)) = (&self.0, unhex(token)) else { return false };
        let sealed = mac.clone().chain_update(visitor.number.as_bytes());
        !visitor.is_new && sealed.verify_slice(&token).is_ok()
    }
}

/// A browser that visits the page.
#[derive(Debug)]
pub(crate) struct Visitor {
    number: String,
    /// Whether it has no cookie yet.
    is_new: bool,
}

impl Visitor {
    /// The visitor identified by the cookie, or a new one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let cookies = headers.get_all(header::COOKIE).into_iter();
        let mut pairs = cookies.filter_map(|line| line.to_str().ok()).flat_map(|l| l.split(';'));
        let number = pairs.find_map(|pair| {
            let number = pair.trim().strip_prefix(COOKIE)?.strip_prefix('=')?;
            let is_one =
                number.len() == DIGITS && number.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_one.then(|| number.to_owned())
        });
        match number {
            Some(number) => Self { number, is_new: false },
            // Without randomness there is no seal either, so the visitor's forms are refused.
            None => {
                Self { number: hex(&draw::<{ DIGITS / 2 }>().unwrap_or_default()), is_new: true }
            }
        }
    }

    /// The cookie to set, for paths below `base`; `None` if the browser already has it.
    pub(crate) fn cookie(&self, base: &str, headers: &HeaderMap) -> Option<String> {
        let forwarded = headers.get("x-forwarded-proto").map(|proto| proto.as_bytes());
        let secure = if forwarded == Some(b"https") { "; Secure" } else { "" };
        let path = if base.is_empty() { "/" } else { base };
        self.is_new.then(|| {
            let number = &self.number;
            format!("{COOKIE}={number}; Path={path}; HttpOnly; SameSite=Strict{secure}")
        })
    }
}

/// Whether the browser states that a form comes from a page of this site. Without
/// `Sec-Fetch-Site` and `Origin` the answer is no.
pub(crate) fn is_from_here(headers: &HeaderMap, uri: &Uri) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // Browsers let no page set this header, and proxies do not change it.
    if headers.contains_key("sec-fetch-site") {
        return text("sec-fetch-site") == Some("same-origin");
    }
    let host = text("host").or_else(|| uri.authority().map(|authority| authority.as_str()));
    let origin = text("origin").and_then(|origin| {
        origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"))
    });
    match (origin, host) {
        (Some(origin), Some(host)) => origin.eq_ignore_ascii_case(host),
        _ => false,
    }
}

fn draw<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok().map(|()| bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |pair: &[u8]| u8::try_from(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?).ok();
    text.as_bytes().chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let of = |value: &str| HeaderValue::from_str(value).unwrap();
        pairs.iter().map(|&(name, value)| (name.parse().unwrap(), of(value))).collect()
    }

    fn returning(visitor: &Visitor) -> Visitor {
        Visitor::of(&headers(&[("cookie", &format!("a=b; {COOKIE}={}; c", visitor.number))]))
    }

    #[test]
    fn a_token_is_good_for_its_visitor_and_its_seal_alone() {
        let (seal, other) = (Seal::new(None), Seal::new(None));
        let new = Visitor::of(&HeaderMap::new());
        let visitor = returning(&new);
        let token = seal.token(&visitor);
        assert!(seal.holds(&visitor, &token));
        assert!(!seal.holds(&new, &token), "whoever sends no cookie has no form");
        assert!(!other.holds(&visitor, &token));
        assert!(!seal.holds(&returning(&Visitor::of(&HeaderMap::new())), &token));
        for forged in ["", "0", &token[1..], &"0".repeat(64), "é"] {
            assert!(!seal.holds(&visitor, forged), "{forged}");
        }
    }

    #[test]
    fn a_secret_is_shared_and_a_short_one_refuses_every_form() {
        let visitor = returning(&Visitor::of(&HeaderMap::new()));
        let of = |secret: &[u8]| Seal::new(Some(secret));
        let token = of(b"sixteen letters!").token(&visitor);
        assert!(of(b"sixteen letters!").holds(&visitor, &token));
        assert!(!of(b"sixteen letters?").holds(&visitor, &token));
        let short = of(b"short");
        assert!(!short.holds(&visitor, &short.token(&visitor)));
        assert_eq!(format!("{short:?}"), "Seal");
    }

    #[test]
    fn a_form_has_to_come_from_this_site() {
        fn from(pairs: &[(&'static str, &str)]) -> bool {
            is_from_here(&headers(pairs), &Uri::from_static("/delete"))
        }
        assert!(from(&[("host", "shop.test:80"), ("origin", "http://shop.test:80")]));
        assert!(from(&[
            ("host", "inner"),
            ("origin", "https://a"),
            ("sec-fetch-site", "same-origin")
        ]));
        assert!(!from(&[("host", "shop.test"), ("origin", "https://shop.test.evil.test")]));
        assert!(!from(&[("host", "shop.test"), ("origin", "null")]));
        assert!(!from(&[("host", "shop.test")]));
        assert!(!from(&[("origin", "http://shop.test")]));
        for site in ["cross-site", "same-site", "none", ""] {
            let pairs = [("host", "a"), ("origin", "http://a"), ("sec-fetch-site", site)];
            assert!(!from(&pairs), "{site}");
        }
    }
}
