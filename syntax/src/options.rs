//! The options of a cache block: one table, and suggestions for unknown names. `arguments.rs` and
//! `declared.rs` check the values.

/// Defines [`BlockOption`]: for each option its name, and its letter in a block id if its value
/// follows the positional arguments.
macro_rules! options {
    ($($(#[$doc:meta])* $option:ident = $name:literal $(letter $letter:literal)?;)+) => {
        /// An option of a cache block.
        ///
        /// ```
        /// use fragcache_syntax::BlockOption;
        ///
        /// assert_eq!(BlockOption::Unless.name(), "unless");
        /// assert_eq!(BlockOption::of_name("unless"), Some(BlockOption::Unless));
        /// assert_eq!(BlockOption::of_name("timeout"), None);
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum BlockOption {
            $($(#[$doc])* $option,)+
        }

        impl BlockOption {
            const NAMES: &[&str] = &[$($name),+];

            /// The name that template authors write.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$option => $name,)+
                }
            }

            /// The option with this name.
            pub fn of_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$option),)+
                    _ => None,
                }
            }

            /// The letter in a block id; `None` for an option whose value does not follow the
            /// positional arguments.
            pub(crate) const fn letter(self) -> Option<u8> {
                match self {
                    $(Self::$option => options!(@letter $($letter)?),)+
                }
            }

            /// The option with this letter.
            #[inline]
            pub(crate) const fn of_letter(letter: u8) -> Option<Self> {
                match letter {
                    $($($letter => Some(Self::$option),)?)+
                    _ => None,
                }
            }
        }
    };
    (@letter $letter:literal) => { Some($letter) };
    (@letter) => { None };
}

options! {
    /// A condition: the block is rendered without the cache if it is true.
    Unless = "unless" letter b'u';
    /// A condition: the block is rendered and stored although it is cached if it is true.
    Refresh = "refresh" letter b'r';
    /// States that everyone may share the fragment. Known when the template is loaded.
    Shared = "shared";
    /// Labels to delete the fragment by. Evaluated by a miss.
    Tags = "tags";
    /// For how long an expired fragment may be served. Evaluated by a miss.
    Stale = "stale";
    /// A value: only an entry that was stored with the same one is served.
    Version = "version" letter b'v';
    /// The name of the cache.
    Using = "using" letter b'c';
}

/// Describes what is wrong with an option of this name, which is not one.
pub(super) fn unknown(name: &str) -> String {
    if let Some(what) = positional(name) {
        return format!(
            "`{name}` is not an option: timeout, name and vary parts are positional; write \
             {what}"
        );
    }
    let names: Vec<String> = BlockOption::NAMES.iter().map(|name| format!("`{name}`")).collect();
    let (last, others) = names.split_last().map_or(("", &[][..]), |(last, rest)| (last, rest));
    let nearest = nearest(name).map(|near| format!("; did you mean `{near}`?"));
    format!(
        "unknown option `{name}`: the options are {} and {last}{}",
        others.join(", "),
        nearest.unwrap_or_default()
    )
}

/// What to write instead of a named argument that is positional.
fn positional(name: &str) -> Option<&'static str> {
    Some(match name {
        "timeout" | "ttl" | "expire" | "expires" | "expires_in" | "max_age" | "duration"
        | "seconds" => "the timeout first, without a name: `cache 300, …`",
        "name" | "key" | "fragment_name" | "fragment" | "cache_key" | "id" => {
            "the name second, after a timeout or `default`: `cache 300, \"sidebar\"`"
        }
        "vary" | "vary_on" | "vary_by" | "varies" | "parts" => {
            "each vary part separately, after the name: `cache 300, \"sidebar\", user.id`"
        }
        _ => return None,
    })
}

fn nearest(name: &str) -> Option<&'static str> {
    BlockOption::NAMES
        .iter()
        .map(|&known| (distance(name, known), known))
        .min()
        .filter(|&(distance, known)| distance * 2 <= known.len())
        .map(|(_, known)| known)
}

/// The number of letters that must be added, removed or changed to turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().take(32).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.chars().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}
