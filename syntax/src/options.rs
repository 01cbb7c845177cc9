//! The options of a cache block: one table with the name of each, when its value is known, what the
//! value is, and what an error says to write. `declared.rs` checks the values by their kind.

/// When the value of an option is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// When the template is loaded: it is a constant.
    Load,
    /// When the block is opened: each render evaluates it after the positional arguments. The block
    /// id names the option by this letter.
    Open(u8),
    /// When a miss renders the block, which declares it.
    Miss,
}

/// The values that an option takes. A text is the advice that ends the error about another value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `true` or `false`, as a literal.
    Constant(&'static str),
    /// What the engine considers true or false.
    Condition,
    /// A value that can be part of a key.
    Part,
    /// A list of tags.
    Tags,
    /// A positive duration, or none.
    Duration(&'static str),
    /// The name of a cache.
    CacheName(&'static str),
}

/// Defines [`BlockOption`] by its rows: name, when the value is known, kind of the value.
macro_rules! options {
    ($($(#[$doc:meta])* $option:ident = $name:literal, $known:ident $(($letter:literal))?, $kind:expr;)+) => {
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
            const ALL: &[Self] = &[$(Self::$option),+];

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

            /// When the value is known.
            #[inline]
            pub(crate) const fn known(self) -> Known {
                match self {
                    $(Self::$option => Known::$known $(($letter))?,)+
                }
            }

            /// What the value is.
            pub(crate) const fn kind(self) -> Kind {
                match self {
                    $(Self::$option => $kind,)+
                }
            }

            /// The option with this letter in a block id.
            #[inline]
            pub(crate) const fn of_letter(letter: u8) -> Option<Self> {
                match letter {
                    $($($letter => Some(Self::$option),)?)+
                    _ => None,
                }
            }
        }
    };
}

options! {
    /// A condition: the block is rendered without the cache if it is true.
    Unless = "unless", Open(b'u'), Kind::Condition;
    /// A condition: the block is rendered and stored although it is cached if it is true.
    Refresh = "refresh", Open(b'r'), Kind::Condition;
    /// States that everyone may share the fragment. Known when the template is loaded.
    Shared = "shared", Load, Kind::Constant("write `shared=true` or leave it out");
    /// Labels to delete the fragment by. Evaluated by a miss.
    Tags = "tags", Miss, Kind::Tags;
    /// For how long an expired fragment may be served. Evaluated by a miss.
    Stale = "stale", Miss, Kind::Duration(
        "write for how long an expired fragment may still be served, in seconds (30) or as a \
         duration (\"30s\"), or leave it out"
    );
    /// A value: only an entry that was stored with the same one is served.
    Version = "version", Open(b'v'), Kind::Part;
    /// The name of the cache.
    Using = "using", Open(b'c'), Kind::CacheName(
        "write the name of one cache, such as `using=\"pages\"`, or leave it out for the default \
         cache"
    );
}

impl BlockOption {
    /// The options that a miss declares, before it renders the body.
    ///
    /// ```
    /// use fragcache_syntax::BlockOption;
    ///
    /// assert!(BlockOption::declared().any(|option| option == BlockOption::Tags));
    /// assert!(BlockOption::declared().all(|option| option != BlockOption::Unless));
    /// ```
    pub fn declared() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|option| option.known() == Known::Miss)
    }

    /// The letter in a block id; `None` for an option whose value does not follow the positional
    /// arguments.
    #[inline]
    pub(crate) const fn letter(self) -> Option<u8> {
        match self.known() {
            Known::Open(letter) => Some(letter),
            Known::Load | Known::Miss => None,
        }
    }
}

/// Describes what is wrong with an option of this name, which is not one.
pub(super) fn unknown(name: &str) -> String {
    if let Some(what) = positional(name) {
        return format!(
            "`{name}` is not an option: timeout, name and vary parts are positional; write \
             {what}"
        );
    }
    let names = BlockOption::ALL.iter().map(|option| format!("`{}`", option.name()));
    let names: Vec<String> = names.collect();
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
    BlockOption::ALL
        .iter()
        .map(|option| option.name())
        .map(|known| (distance(name, known), known))
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
