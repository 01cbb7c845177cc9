//! The notations of values: durations, sizes, secrets. `sections.rs` says which setting takes
//! which.

use std::fmt;
use std::time::Duration;

use fragcache::{ErrorPolicy, Timeout};
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};

const NEVER: &str = "never";

/// A number or text, as a file or a variable has it.
enum Written {
    Whole(u64),
    Fraction(f64),
    Text(String),
}

/// Reads a number or text. For anything else, the error says `expected`.
struct AnyOf(&'static str);

impl Visitor<'_> for AnyOf {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Written, E> {
        u64::try_from(number)
            .map(Written::Whole)
            .map_err(|_| E::custom(format_args!("{number} is negative; write {}", self.0)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Written, E> {
        Ok(Written::Whole(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Written, E> {
        Ok(Written::Fraction(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Written, E> {
        Ok(Written::Text(text.trim().to_owned()))
    }
}

/// A duration as a config has it: seconds (`300`, `0.5`) or text (`"90s"`, `"1h 30m"`). Zero is
/// allowed. For the settings of a store of your own:
///
/// ```
/// use std::time::Duration;
/// use fragcache::Error;
/// use fragcache_config::{Bytes, Config, Seconds, Stores};
/// # use fragcache::testing::MemoryStore;
/// # fn open(timeout: Duration, max_bytes: usize) -> Result<MemoryStore, Error> {
/// #     assert_eq!((timeout, max_bytes), (Duration::from_secs(1), 64 << 20));
/// #     Ok(MemoryStore::new())
/// # }
///
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct DynamoSettings {
///     timeout: Seconds,
///     max_bytes: Option<Bytes>,
/// }
///
/// let stores = Stores::new().with("dynamo", |settings| {
///     let DynamoSettings { timeout, max_bytes } = settings.read()?;
///     open(timeout.0, max_bytes.map_or(1 << 30, |bytes| bytes.0))
/// });
/// let text = "type = 'dynamo'\n[store]\ntimeout = '1s'\nmax_bytes = '64MiB'";
/// Config::from_toml(text)?.build_with(&stores)?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seconds(pub Duration);

impl Seconds {
    const EXPECTED: &str = "seconds (300) or a duration (\"90s\", \"1h 30m\")";

    fn read<E: serde::de::Error>(written: &Written, expected: &str) -> Result<Self, E> {
        let too_long = || {
            E::custom(format_args!(
                "this is longer than a clock can count (292 years); write {expected}"
            ))
        };
        let parsed = match written {
            Written::Whole(seconds) => Ok(Duration::from_secs(*seconds)),
            Written::Fraction(seconds) => Duration::try_from_secs_f64(*seconds).map_err(|_| {
                E::custom(format_args!("{seconds} is not a number of seconds; write {expected}"))
            }),
            Written::Text(text) if is_zero(text) => Ok(Duration::ZERO),
            // The grammar of a timeout in a template, which excludes zero.
            Written::Text(text) => match Timeout::parse(text) {
                Ok(Timeout::After(ttl)) => Ok(ttl),
                _ => Err(E::custom(format_args!("{text:?} is not a duration; write {expected}"))),
            },
        }?;
        match parsed.as_nanos() > u128::from(u64::MAX / 2) {
            true => Err(too_long()),
            false => Ok(Self(parsed)),
        }
    }
}

fn is_zero(text: &str) -> bool {
    text.parse() == Ok(0_u64) || humantime::parse_duration(text).is_ok_and(|ttl| ttl.is_zero())
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(&deserializer.deserialize_any(AnyOf(Self::EXPECTED))?, Self::EXPECTED)
    }
}

/// The TTL of a fragment; `None` if it never expires.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Life(pub(super) Option<Duration>);

impl<'de> Deserialize<'de> for Life {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "seconds (300), a duration (\"90s\", \"1h 30m\") or \"never\"";
        match deserializer.deserialize_any(AnyOf(EXPECTED))? {
            Written::Text(text) if text == NEVER => Ok(Self(None)),
            written => match Seconds::read(&written, EXPECTED)? {
                Seconds(Duration::ZERO) => Err(D::Error::custom(
                    "0 means \"for ever\" in Flask-Caching and \"don't cache\" in Django; write \
                     \"never\" for fragments that never expire, or type = \"null\" to store \
                     nothing",
                )),
                Seconds(ttl) => Ok(Self(Some(ttl))),
            },
        }
    }
}

/// A number of bytes as a config has it: a number (`65536`) or text (`"64KiB"`, `"2GiB"`). For the
/// settings of a store of your own; see [`Seconds`].
///
/// ```
/// use fragcache_config::Bytes;
///
/// #[derive(serde::Deserialize)]
/// struct Settings {
///     max_bytes: Bytes,
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let settings: Settings = toml::from_str("max_bytes = '64KiB'")?;
/// assert_eq!(settings.max_bytes.0, 65_536);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bytes(pub usize);

impl Bytes {
    const EXPECTED: &str = "a number of bytes (65536) or a size (\"64KiB\", \"64MiB\", \"2GiB\")";

    fn read<E: serde::de::Error>(written: &Written, expected: &str) -> Result<Self, E> {
        let refuse = |shown: &dyn fmt::Display| {
            E::custom(format_args!("{shown} is not a size; write {expected}"))
        };
        let number = match written {
            Written::Whole(number) => Some(*number),
            Written::Fraction(number) => return Err(refuse(number)),
            Written::Text(text) => parse_bytes(text),
        };
        match (number.and_then(|number| usize::try_from(number).ok()), written) {
            (Some(bytes), _) => Ok(Self(bytes)),
            (None, Written::Text(text)) => Err(refuse(&format_args!("{text:?}"))),
            (None, Written::Whole(number)) => Err(refuse(number)),
            (None, Written::Fraction(number)) => Err(refuse(number)),
        }
    }
}

/// Parses `65536`, `64KiB` or `64 MiB`. `MB` is refused, because it can mean 1000 × 1000 or 1024 ×
/// 1024 bytes.
fn parse_bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let power = match unit.trim_start() {
        "" | "B" => 0,
        "KiB" => 1,
        "MiB" => 2,
        "GiB" => 3,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1024_u64.pow(power))
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(&deserializer.deserialize_any(AnyOf(Self::EXPECTED))?, Self::EXPECTED)
    }
}

/// A threshold in bytes; `None` for never.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Above(pub(super) Option<usize>);

impl<'de> Deserialize<'de> for Above {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "a number of bytes (2048), a size (\"2KiB\") or \"never\"";
        match deserializer.deserialize_any(AnyOf(EXPECTED))? {
            Written::Text(text) if text == NEVER => Ok(Self(None)),
            written => Bytes::read(&written, EXPECTED).map(|bytes| Self(Some(bytes.0))),
        }
    }
}

/// A count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Count(pub(super) usize);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "a whole number";
        let refuse = |shown: &dyn fmt::Display| {
            D::Error::custom(format_args!("{shown} is not a count; write {EXPECTED}"))
        };
        match deserializer.deserialize_any(AnyOf(EXPECTED))? {
            Written::Whole(number) => {
                usize::try_from(number).map(Self).map_err(|_| refuse(&number))
            }
            Written::Fraction(number) => Err(refuse(&number)),
            Written::Text(text) => Err(refuse(&format_args!("{text:?}"))),
        }
    }
}

/// File permissions in octal digits, as for `chmod`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Permissions(pub(super) u32);

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Quoted::deserialize(deserializer)?.0;
        match u32::from_str_radix(&text, 8) {
            Ok(mode) if (0o1..=0o777).contains(&mode) => Ok(Self(mode)),
            _ => Err(D::Error::custom(
                "this is not a file mode; write octal digits in quotes, such as \"600\" or \"640\"",
            )),
        }
    }
}

/// A secret, or text that may contain one. `Debug` does not show it.
#[derive(Clone, PartialEq)]
pub(super) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Quoted::deserialize(deserializer).map(|text| Self(text.0))
    }
}

/// Text that errors do not quote.
struct Quoted(String);

impl<'de> Deserialize<'de> for Quoted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(QuotedVisitor).map(Self)
    }
}

struct QuotedVisitor;

impl QuotedVisitor {
    fn refuse<E: serde::de::Error>() -> Result<String, E> {
        Err(E::custom("this must be a text; write it in quotes"))
    }
}

// Serde's default errors quote the value.
impl Visitor<'_> for QuotedVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text in quotes")
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<String, E> {
        Self::refuse()
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<String, E> {
        Self::refuse()
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<String, E> {
        Self::refuse()
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<String, E> {
        Self::refuse()
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

/// How a mistake is handled.
#[derive(Debug, Clone, Copy, PartialEq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mistake {
    Error,
    Uncached,
}

impl From<Mistake> for ErrorPolicy {
    fn from(mistake: Mistake) -> Self {
        match mistake {
            Mistake::Error => Self::Error,
            Mistake::Uncached => Self::Uncached,
        }
    }
}
