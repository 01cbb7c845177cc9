//! Items that were worked out once and are read on every hit: a list that only grows, without a
//! lock. It belongs to the process, so models do not use it.

use std::sync::OnceLock;

/// A list that only grows, for few items.
#[derive(Debug)]
pub(crate) struct Seen<T>(OnceLock<Box<(T, Seen<T>)>>);

impl<T> Seen<T> {
    /// An empty list.
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The item for which `is` returns true.
    #[inline]
    pub(crate) fn find(&self, is: impl Fn(&T) -> bool) -> Option<&T> {
        let mut list = self;
        while let Some(node) = list.0.get() {
            if is(&node.0) {
                return Some(&node.0);
            }
            list = &node.1;
        }
        None
    }

    /// How many items it has.
    pub(crate) fn len(&self) -> usize {
        let mut list = self;
        let next = std::iter::from_fn(|| {
            list = &list.0.get()?.1;
            Some(())
        });
        next.count()
    }

    /// Adds the item that `make` makes and returns it; the item of another thread, if `is` returns
    /// true for it.
    pub(crate) fn add(&self, make: impl Fn() -> T, is: impl Fn(&T) -> bool) -> &T {
        let mut list = self;
        loop {
            let node = list.0.get_or_init(|| Box::new((make(), Self::new())));
            if is(&node.0) {
                return &node.0;
            }
            list = &node.1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Seen;

    #[test]
    fn an_item_is_added_once_and_stays_where_it_is() {
        let seen = Seen::new();
        assert_eq!((seen.find(|_| true), seen.len()), (None, 0));
        let first: *const u32 = seen.add(|| 1, |&item| item == 1);
        std::thread::scope(|scope| {
            for thread in 2..6 {
                let seen = &seen;
                scope.spawn(move || {
                    for item in [thread, 2, 3] {
                        assert_eq!(*seen.add(|| item, |&seen| seen == item), item);
                    }
                });
            }
        });
        assert_eq!(seen.len(), 5);
        assert_eq!(seen.find(|&item| item == 1).map(std::ptr::from_ref), Some(first));
        assert_eq!(seen.find(|&item| item == 6), None);
    }
}
