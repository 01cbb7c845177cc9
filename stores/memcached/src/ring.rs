//! Which server has a key, by rendezvous hashing: a server that is added or removed changes the
//! place of its own keys only. A server that is away keeps its keys.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The seeds of the servers, by their addresses as written.
#[derive(Debug)]
pub(super) struct Ring(Vec<u64>);

impl Ring {
    pub(super) fn new(addresses: impl Iterator<Item = String>) -> Self {
        Self(addresses.map(|address| xxh3_64(address.as_bytes())).collect())
    }

    /// The server of a key. Keys with the same text in braces have the same one.
    pub(super) fn server(&self, key: &str) -> usize {
        if self.0.len() < 2 {
            return 0;
        }
        let key = tag(key).as_bytes();
        let weights = self.0.iter().map(|&seed| xxh3_64_with_seed(key, seed));
        let best = weights.enumerate().max_by_key(|&(_, weight)| weight);
        best.map_or(0, |(server, _)| server)
    }
}

/// The text in the first braces, as in a Redis cluster; the whole key if there are none.
fn tag(key: &str) -> &str {
    let within = key.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    within.map(|(tag, _)| tag).filter(|tag| !tag.is_empty()).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(names: &[&str]) -> Ring {
        Ring::new(names.iter().map(|&name| name.to_owned()))
    }

    #[test]
    fn keys_are_spread_and_stay_where_they_are() {
        let (three, four) = (ring(&["a", "b", "c"]), ring(&["a", "b", "c", "d"]));
        let turned = ring(&["c", "a", "b"]);
        let mut counts = [0; 3];
        let mut moved = 0;
        for n in 0..3000 {
            let key = format!("shop:v:{n}");
            let server = three.server(&key);
            counts[server] += 1;
            assert_eq!(["c", "a", "b"][turned.server(&key)], ["a", "b", "c"][server]);
            match four.server(&key) {
                3 => moved += 1,
                same => assert_eq!(same, server),
            }
        }
        assert!(counts.iter().all(|&count| count > 800), "{counts:?}");
        assert!((600..900).contains(&moved), "{moved}");
    }

    #[test]
    fn keys_with_one_tag_are_on_one_server() {
        let ring = ring(&["a", "b", "c"]);
        for n in 0..100 {
            let keys = [format!("v:{{{n}}}:fence"), format!("v:{{{n}}}:label"), format!("{{{n}}}")];
            let servers = keys.each_ref().map(|key| ring.server(key));
            assert_eq!(servers, [servers[0]; 3]);
        }
        assert_eq!((tag("a{}b"), tag("a{b"), tag("a}b{c}")), ("a{}b", "a{b", "c"));
    }
}
