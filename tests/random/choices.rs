//! The numbers that a generated set is made from. They can be recorded, replayed and cut down, so that
//! every set that fails shrinks by itself and stays in the grammar.

/// How many smaller sets are tried before the smallest so far is shown.
const MOST_TRIES: usize = 4_000;

/// A stream of choices: from a seed, or replayed. After the end of a replay every choice is the first.
pub(super) struct Choices {
    taken: Vec<u32>,
    given: Option<Vec<u32>>,
    random: fastrand::Rng,
}

impl Choices {
    pub(super) fn seeded(seed: u64) -> Self {
        Self { taken: Vec::new(), given: None, random: fastrand::Rng::with_seed(seed) }
    }

    pub(super) fn replayed(given: &[u32]) -> Self {
        Self { given: Some(given.to_vec()), ..Self::seeded(0) }
    }

    /// What was chosen, to be replayed.
    pub(super) fn into_taken(self) -> Vec<u32> {
        self.taken
    }

    /// One of `0..most`. Zero is the simplest.
    pub(super) fn below(&mut self, most: usize) -> usize {
        let most = u32::try_from(most).unwrap();
        let chosen = match &self.given {
            None => self.random.u32(0..most),
            Some(given) => given.get(self.taken.len()).map_or(0, |chosen| chosen % most),
        };
        self.taken.push(chosen);
        chosen as usize
    }

    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) >= 100 - percent
    }

    pub(super) fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// One of these by weight. The first is the simplest.
    pub(super) fn weighted<T: Copy>(&mut self, of: &[(usize, T)]) -> T {
        let mut at = self.below(of.iter().map(|(weight, _)| weight).sum());
        for &(weight, item) in of {
            if at < weight {
                return item;
            }
            at -= weight;
        }
        unreachable!("the weights cover every choice")
    }
}

/// Fewer and smaller choices that still fail.
pub(super) fn shrink(mut choices: Vec<u32>, mut fails: impl FnMut(&[u32]) -> bool) -> Vec<u32> {
    let mut tries = 0;
    loop {
        let before = choices.clone();
        for size in [64, 32, 16, 12, 8, 7, 6, 5, 4, 3, 2, 1] {
            let mut at = 0;
            while at < choices.len() {
                let end = (at + size).min(choices.len());
                let mut shorter = choices.clone();
                shorter.drain(at..end);
                let mut zeroed = choices.clone();
                zeroed[at..end].fill(0);
                let smaller = [shorter, zeroed].into_iter().find(|smaller| {
                    tries += 1;
                    tries <= MOST_TRIES && *smaller != choices && fails(smaller)
                });
                match smaller {
                    Some(smaller) => choices = smaller,
                    None => at += size,
                }
            }
        }
        if choices == before || tries > MOST_TRIES {
            return choices;
        }
    }
}
