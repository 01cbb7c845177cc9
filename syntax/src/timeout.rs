//! The first argument of a cache block: which values it takes and what they mean.

use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// When a fragment expires, or that it is to be deleted.
///
/// ```
/// use fragcache_syntax::Timeout;
/// use std::time::Duration;
///
/// assert_eq!(Timeout::parse("90s")?, Timeout::After(Duration::from_secs(90)));
/// assert_eq!(Timeout::parse("1h 30m")?, Timeout::After(Duration::from_secs(5400)));
/// assert_eq!(Timeout::parse("del")?, Timeout::Delete);
/// assert!(Timeout::parse("0").is_err());
/// # Ok::<(), fragcache_syntax::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Timeout {
    /// The cache's default timeout.
    #[default]
    Default,
    /// The fragment never expires. It can still be deleted or evicted.
    Never,
    /// The fragment expires this long after its render.
    After(Duration),
    /// Deletes the fragment, renders the body and stores nothing.
    Delete,
}

impl From<Duration> for Timeout {
    /// Equal to [`Timeout::After`].
    fn from(ttl: Duration) -> Self {
        Self::After(ttl)
    }
}

/// A scalar argument of a cache block, as an engine extension passes it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Scalar<'a> {
    /// The variable is not defined.
    Undefined,
    /// `none`.
    None,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i128),
    /// An integer beyond `i128`.
    BigInt(u128),
    /// A float.
    Float(f64),
    /// A string.
    Str(&'a str),
    /// Any other value: the engine's name for its type, such as `map`.
    Other(&'a str),
}

impl Scalar<'_> {
    /// Names the value for an error message; a text is cut to 40 characters.
    ///
    /// ```
    /// use fragcache_syntax::Scalar;
    ///
    /// assert_eq!(Scalar::Int(7).describe(), "the number 7");
    /// assert_eq!(Scalar::Other("map").describe(), "a map");
    /// ```
    pub fn describe(&self) -> String {
        match self {
            Scalar::Undefined => "undefined".to_owned(),
            Scalar::None => "none".to_owned(),
            Scalar::Bool(value) => format!("the boolean {value}"),
            Scalar::Int(number) => format!("the number {number}"),
            Scalar::BigInt(number) => format!("the number {number}"),
            Scalar::Float(number) => format!("the number {number:?}"),
            Scalar::Str(text) => {
                format!("the text {:?}", text.chars().take(40).collect::<String>())
            }
            Scalar::Other(kind) => format!("a {kind}"),
        }
    }
}

/// Seconds (34 years) that every clock can count.
const SURELY_SHORT: i128 = 1 << 30;

/// A clock counts nanoseconds in 64 bits; half of that leaves room for its own reading.
const LONGEST: Duration = Duration::from_nanos(u64::MAX / 2);

impl Timeout {
    /// Parses a timeout. A string of digits is seconds, `del` deletes, and `default` is the cache's
    /// default. Anything else is a duration such as `90s`, `5m` or `1h 30m` (the grammar of the
    /// `humantime` crate).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`] for zero, an unknown word, and a duration too long for a clock.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let trimmed = text.trim();
        match trimmed {
            "del" => return Ok(Self::Delete),
            "default" => return Ok(Self::Default),
            _ => {}
        }
        if !trimmed.is_empty() && trimmed.bytes().all(|b| b.is_ascii_digit()) {
            return match trimmed.parse::<u64>() {
                Ok(seconds) => Self::positive_as(Duration::from_secs(seconds), &trimmed),
                Err(_) => Err(too_large(trimmed)),
            };
        }
        match humantime::parse_duration(trimmed) {
            Ok(ttl) => Self::positive_as(ttl, &trimmed),
            Err(humantime::DurationError::NumberOverflow) => Err(too_large(trimmed)),
            Err(cause) => Err(refuse(format!(
                "timeout {text:?} is not a duration: {cause}; write seconds (300), a duration \
                 (\"90s\", \"1h 30m\"), none for no expiry, or 'del'; a name comes second, after a \
                 timeout or `default`"
            ))),
        }
    }

    /// Converts an engine's value to a timeout.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`] for anything but a positive finite number, the text of a duration,
    /// `none`, `'default'` or `'del'`. The message says what to write instead.
    pub fn from_scalar(scalar: Scalar<'_>) -> Result<Self, Error> {
        match scalar {
            Scalar::None => Ok(Self::Never),
            // The common case, without the checks below.
            #[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "in range")]
            Scalar::Int(seconds @ 1..=SURELY_SHORT) => {
                Ok(Self::After(Duration::from_secs(seconds as u64)))
            }
            Scalar::Int(seconds) => match u64::try_from(seconds) {
                Ok(whole) => Self::positive_as(Duration::from_secs(whole), &seconds),
                Err(_) if seconds < 0 => Err(negative(&seconds)),
                Err(_) => Err(too_large(&seconds.to_string())),
            },
            Scalar::BigInt(seconds) => Err(too_large(&seconds.to_string())),
            Scalar::Float(seconds) if seconds.is_nan() => Err(refuse(
                "timeout is not a number (NaN); write a positive number of seconds, or none for \
                 no expiry",
            )),
            Scalar::Float(seconds) if seconds < 0.0 => Err(negative(&seconds)),
            Scalar::Float(seconds) if seconds.is_infinite() => {
                Err(refuse("timeout is infinite; write none for a fragment that never expires"))
            }
            Scalar::Float(seconds) => match Duration::try_from_secs_f64(seconds) {
                Ok(ttl) => Self::positive_as(ttl, &format_args!("{seconds:e}")),
                Err(_) => Err(too_large(&format!("{seconds:e}"))),
            },
            Scalar::Str(text) => Self::parse(text),
            Scalar::Undefined => Err(refuse(
                "timeout is undefined; write a number of seconds, none (not null) for no expiry, \
                 or `default` for the cache's own",
            )),
            Scalar::Bool(value) => Err(refuse(format!(
                "timeout is the boolean {value}; write a number of seconds, or unless= to decide \
                 whether to cache at all"
            ))),
            Scalar::Other(kind) => Err(refuse(format!(
                "timeout is a {kind}; write a number of seconds, a duration (\"90s\"), none for \
                 no expiry, or 'del'"
            ))),
        }
    }

    /// Checks a timeout that Rust code gave.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`] for an expiry after no time, or after more time than a clock can
    /// count.
    ///
    /// ```
    /// use fragcache_syntax::Timeout;
    /// use std::time::Duration;
    ///
    /// assert!(Timeout::After(Duration::from_secs(90)).validate().is_ok());
    /// assert!(Timeout::After(Duration::ZERO).validate().is_err());
    /// ```
    #[inline]
    pub fn validate(&self) -> Result<(), Error> {
        let Self::After(ttl) = *self else { return Ok(()) };
        if ttl.is_zero() {
            return Err(refuse(
                "timeout is 0, which Flask-Caching documents as \"for ever\" and Django as \
                 \"don't cache\"; write never_expires() for no expiry, or leave the cache out",
            ));
        }
        if ttl <= LONGEST {
            return Ok(());
        }
        Self::positive_as(ttl, &ttl.as_secs()).map(drop)
    }

    /// The expiry after `ttl`, of which the author wrote `shown`.
    fn positive_as(ttl: Duration, shown: &dyn std::fmt::Display) -> Result<Self, Error> {
        if ttl.is_zero() {
            return Err(refuse(
                "timeout is 0, which Flask-Caching documents as \"for ever\" and Django as \
                 \"don't cache\"; write none for no expiry, or unless=true to skip the cache",
            ));
        }
        if ttl > LONGEST {
            return Err(too_large(&shown.to_string()));
        }
        Ok(Self::After(ttl))
    }
}

fn refuse(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Timeout, message)
}

fn negative(value: &dyn std::fmt::Display) -> Error {
    refuse(format!(
        "timeout {value} is negative; write a positive number of seconds, none for no expiry, or \
         'del' to delete the fragment"
    ))
}

fn too_large(value: &str) -> Error {
    let shown: String = value.chars().take(40).collect();
    refuse(format!(
        "timeout {shown} is longer than a clock can count (292 years); write none for a fragment \
         that never expires"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unusable_timeout_has_advice() {
        for scalar in [
            Scalar::Int(0),
            Scalar::Int(-5),
            Scalar::Int(i128::MAX),
            Scalar::BigInt(u128::MAX),
            Scalar::Float(0.0),
            Scalar::Float(-0.0),
            Scalar::Float(f64::NAN),
            Scalar::Float(f64::INFINITY),
            Scalar::Float(f64::NEG_INFINITY),
            Scalar::Float(1e300),
            Scalar::Bool(true),
            Scalar::Undefined,
            Scalar::Other("map"),
            Scalar::Str(""),
            Scalar::Str("soon"),
            Scalar::Str("999999999y"),
            Scalar::Str("99999999999999999999999"),
            Scalar::Str("0s"),
        ] {
            let error = Timeout::from_scalar(scalar).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout, "{scalar:?}");
            assert!(error.message().contains("write "), "{scalar:?}: {error}");
        }
    }

    #[test]
    fn fractions_and_digits_are_seconds() {
        let after = |millis| Timeout::After(Duration::from_millis(millis));
        assert_eq!(Timeout::from_scalar(Scalar::Float(1.5)).unwrap(), after(1500));
        assert_eq!(Timeout::from_scalar(Scalar::Str("300")).unwrap(), after(300_000));
        assert_eq!(Timeout::from_scalar(Scalar::None).unwrap(), Timeout::Never);
    }
}
