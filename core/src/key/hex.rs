//! Keys as hexadecimal text for forms and URLs, and back. `Display` is the form for people.

use std::fmt::Write as _;

use super::FragmentKey;
use super::encode::Decoder;
use super::redacted::is_redacted_key;

/// Longest text that is parsed: twice the longest key of any cache.
const MAX_TEXT: usize = 2 * super::MAX_KEY_BYTES;

impl FragmentKey {
    /// Returns the key as hexadecimal digits, for a form or a URL. They encode the whole key and
    /// hide nothing.
    ///
    /// ```
    /// use fragcache::{FragmentKey, fragment_key};
    ///
    /// let key = fragment_key!("sidebar", 42, None::<u8>);
    /// assert_eq!(FragmentKey::from_hex(&key.to_hex()), Some(key));
    /// assert_eq!(FragmentKey::from_hex("65"), None);
    /// ```
    pub fn to_hex(&self) -> String {
        let mut text = String::with_capacity(2 * self.as_bytes().len());
        for byte in self.as_bytes() {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// Parses the output of [`to_hex`](Self::to_hex); `None` for any other text.
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() > MAX_TEXT || !text.len().is_multiple_of(2) {
            return None;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let mut bytes = Vec::with_capacity(text.len() / 2);
        for pair in text.as_bytes().chunks_exact(2) {
            bytes.push(u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?);
        }
        is_key(&bytes).then(|| Self::from_encoded(&bytes))
    }
}

/// Returns true if the bytes are exactly one key without namespaces.
fn is_key(bytes: &[u8]) -> bool {
    if Decoder::new(bytes).default_key().is_some() || is_redacted_key(bytes) {
        return true;
    }
    let Some((kind, parts)) = bytes.split_first() else { return false };
    if !super::NAMED.contains(kind) {
        return false;
    }
    let mut parts = Decoder::new(parts);
    if parts.rest().is_empty() {
        return false;
    }
    while !parts.rest().is_empty() {
        if parts.next().is_none() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fragment_key, fragment_key_at};

    #[test]
    fn keys_of_every_sort_come_back() {
        for key in [
            fragment_key!("row"),
            fragment_key!("", ["a", "b"], None::<u8>, f64::NAN),
            fragment_key!("<script>", "\u{0}\n"),
            fragment_key_at("page.html", 7).nth(2),
        ] {
            assert_eq!(FragmentKey::from_hex(&key.to_hex()), Some(key));
        }
    }

    #[cfg(feature = "values")]
    #[test]
    fn keys_of_every_kind_come_back_and_can_be_read() {
        use crate::FragmentCache;
        use crate::key::KeyKind;
        use crate::memoize::Function;

        #[derive(serde::Serialize)]
        struct Query {
            words: Vec<&'static str>,
            page: Option<u8>,
        }
        let query = Query { words: vec!["<b>", "two"], page: None };
        let value = FragmentCache::in_memory().values().key(["price", "7"]);
        let function = Function::new("shop::find").call().arg(&query).arg(&1.5).arg(&[0_u8, 255]);
        let method = Function::new("shop::Account::balance").of(&(7, "eu")).call().arg(&true);
        let mut view = vec![super::super::VIEW];
        view.extend_from_slice(&fragment_key!("page", "/product/7", ["q", "x"]).as_bytes()[1..]);
        let keys = [
            (value, KeyKind::Value, "[price, 7]"),
            (
                function.key().unwrap(),
                KeyKind::Function,
                r#"shop::find(Query{words: ["<b>", two], page: none}, 1.5, [0, 255])"#,
            ),
            (method.key().unwrap(), KeyKind::Function, "shop::Account::balance([7, eu], true)"),
            (FragmentKey::from_encoded(&view), KeyKind::View, "page(/product/7, [q, x])"),
        ];
        for (key, kind, shown) in keys {
            for key in [key.clone(), key.bare()] {
                assert_eq!(FragmentKey::from_hex(&key.to_hex()), Some(key.clone()), "{key}");
                assert_eq!(key.kind(), kind, "{key}");
            }
            assert_eq!(key.to_string(), shown);
        }
    }

    #[test]
    fn text_that_is_no_key_is_none() {
        let half = &fragment_key!("row").to_hex()[..6];
        let mut namespaced = Vec::new();
        super::super::push_namespace(&mut namespaced, "tenant");
        namespaced.extend_from_slice(fragment_key!("row").as_bytes());
        let namespaced = FragmentKey::from_encoded(&namespaced).to_hex();
        let long = "65".repeat(MAX_TEXT);
        let after = format!("{}00", fragment_key!("row").to_hex());
        for text in ["", "6", "zz", "65", "40", "é0", half, &namespaced, &long, &after] {
            assert_eq!(FragmentKey::from_hex(text), None, "{text:.20}");
        }
    }

    #[test]
    fn lists_as_deep_as_a_key_can_hold_are_read_and_shown() {
        let mut bytes = fragment_key!("row").as_bytes().to_vec();
        let list = FragmentKey::new(["x"; 1]).as_bytes()[1..3].to_vec();
        while bytes.len() + 4 < crate::key::MAX_KEY_BYTES {
            bytes.extend_from_slice(&list);
        }
        bytes.extend_from_slice(&fragment_key!("x").as_bytes()[1..]);
        let key = FragmentKey::from_encoded(&bytes);
        let read = FragmentKey::from_hex(&key.to_hex()).unwrap();
        assert!(read.to_string().starts_with("row([[[["), "{read:.20}");
    }
}
