//! The slots of a cluster: which slot a key has, and which node owns it. Independent of sockets.

use std::sync::atomic::{AtomicU16, Ordering};

/// Number of slots.
pub(crate) const COUNT: usize = 16_384;

/// The node of a slot that nobody owns.
pub(crate) const NOBODY: u16 = 0x7fff;

/// Set while keys of the slot are being moved to another node.
const MOVING: u16 = 0x8000;

/// The owner of each slot, as the index of a node.
pub(crate) struct Slots(Box<[AtomicU16]>);

/// The owner of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) node: usize,
    /// Whether some keys of the slot may be on another node already.
    pub(crate) is_moving: bool,
}

impl Slots {
    /// The slots with these owners, one for each slot.
    pub(crate) fn new(owners: &[u16]) -> Self {
        Self(owners.iter().map(|&owner| AtomicU16::new(owner)).collect())
    }

    /// The owner of a slot, if it has one.
    pub(crate) fn owner(&self, slot: u16) -> Option<Owner> {
        let owner = self.0.get(usize::from(slot))?.load(Ordering::Relaxed);
        let node = owner & !MOVING;
        let owner = Owner { node: usize::from(node), is_moving: owner & MOVING != 0 };
        (node != NOBODY).then_some(owner)
    }

    /// Notes that the slot has moved to this node.
    pub(crate) fn moved(&self, slot: u16, node: usize) {
        if let (Some(owner), Ok(node)) = (self.0.get(usize::from(slot)), u16::try_from(node)) {
            owner.store(node, Ordering::Relaxed);
        }
    }

    /// Notes that keys of the slot are being moved.
    pub(crate) fn is_moving(&self, slot: u16) {
        if let Some(owner) = self.0.get(usize::from(slot)) {
            owner.fetch_or(MOVING, Ordering::Relaxed);
        }
    }

    /// The slots of which keys are being moved.
    pub(crate) fn moving(&self) -> impl Iterator<Item = (u16, usize)> {
        (0..).zip(&self.0).filter_map(|(slot, owner)| {
            let owner = owner.load(Ordering::Relaxed);
            (owner & MOVING != 0).then_some((slot, usize::from(owner & !MOVING)))
        })
    }
}

/// The slot of a key: of the part between the first `{` and the next `}`, if it is not empty.
pub(crate) fn of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let hashed = tag.map_or(key, |(tag, _)| if tag.is_empty() { key } else { tag });
    crc16(hashed.as_bytes()) & 0x3fff
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, &byte| (crc << 8) ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)])
}

const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = ((byte as u16) << 8, 0);
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        for (key, slot) in [("foo", 12_182), ("bar", 5061), ("", 0), ("{user1000}.following", 3443)]
        {
            assert_eq!(of(key), slot, "{key}");
        }
        assert_eq!(of("{user1000}.following"), of("{user1000}.followers"));
        // Only the first braces count, and only with something in between.
        assert_eq!(of("foo{}{bar}"), crc16(b"foo{}{bar}") & 0x3fff);
        assert_eq!(of("foo{{bar}}zap"), of("{bar"));
        assert_eq!(of("foo{bar}{zap}"), of("bar"));
        assert_eq!(of("foo{bar"), crc16(b"foo{bar") & 0x3fff);
    }

    #[test]
    fn owners_change_one_slot_at_a_time() {
        let mut owners = vec![0; COUNT];
        owners[7] = NOBODY;
        let slots = Slots::new(&owners);
        let at = |node, is_moving| Some(Owner { node, is_moving });
        assert_eq!((slots.owner(6), slots.owner(7)), (at(0, false), None));
        slots.is_moving(6);
        assert_eq!(slots.owner(6), at(0, true));
        assert_eq!(slots.moving().collect::<Vec<_>>(), [(6, 0)]);
        slots.moved(6, 2);
        assert_eq!((slots.owner(6), slots.owner(8)), (at(2, false), at(0, false)));
        assert_eq!(slots.moving().count(), 0);
        assert_eq!(slots.owner(16_384), None);
    }
}
