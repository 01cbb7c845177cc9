//! The numbers from which a set is generated. They can be recorded, replayed and reduced, so every
//! failing set shrinks automatically and stays within the grammar.

/// Maximum number of smaller sets to try.
const MOST_TRIES: usize = 4_000;

/// A stream of choices from a seed or a recording. After the end of a recording every choice is 0.
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

    /// The choices made, for a replay.
    pub(super) fn into_taken(self) -> Vec<u32> {
        self.taken
    }

    /// A number in `0..most`. Zero is the simplest.
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

    /// A weighted choice. The first item is the simplest.
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

/// Reduces the choices to fewer and smaller ones that still fail.
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
