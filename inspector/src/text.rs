//! Formats numbers for people.

use std::time::Duration;

/// A number with commas between thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun in the singular or plural.
pub(crate) fn of(number: u64, (one, several): (&str, &str)) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { several })
}

/// A number of bytes, in the largest unit in which it is at least 1.
#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn bytes(number: u64) -> String {
    let (mut size, mut unit) = (number as f64, "B");
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if size < 1024.0 {
            break;
        }
        (size, unit) = (size / 1024.0, larger);
    }
    if unit == "B" { format!("{number} B") } else { format!("{} {unit}", short(size)) }
}

/// A duration in one unit, or in two from one minute on.
pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let whole = time.as_secs();
    match whole {
        0 if time.is_zero() => "0".to_owned(),
        0 if seconds < 0.000_001 => format!("{} ns", time.as_nanos()),
        0 if seconds < 0.001 => format!("{} µs", short(seconds * 1e6)),
        0 => format!("{} ms", short(seconds * 1e3)),
        1..60 => format!("{} s", short(seconds)),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// An age in whole units.
pub(crate) fn ago(time: Duration) -> String {
    if time.as_secs() == 0 { "now".to_owned() } else { whole(time) }
}

/// A duration without fractions of a second.
pub(crate) fn whole(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 { format!("{seconds} s") } else { self::time(Duration::from_secs(seconds)) }
}

/// A share from 0.0 to 1.0. Only 1.0 prints as 100 %, and only 0.0 as 0 %.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        _ if percent <= 0.0 => "0 %".to_owned(),
        _ if percent >= 100.0 => "100 %".to_owned(),
        _ if percent < 0.1 => "<0.1 %".to_owned(),
        _ if percent > 99.9 => ">99.9 %".to_owned(),
        _ => format!("{percent:.1} %"),
    }
}

fn short(number: f64) -> String {
    match number {
        _ if number >= 99.95 => format!("{number:.0}"),
        _ if number >= 9.995 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_true() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([1, 2000].map(|n| of(n, ("entry", "entries"))), ["1 entry", "2,000 entries"]);
        assert_eq!([0, 1023, 1536, 64 << 20].map(bytes), ["0 B", "1023 B", "1.50 KiB", "64.0 MiB"]);
        let nanos = [0, 20, 1_500, 12_340_000, 1_500_000_000, 61_000_000_000, 90_061_000_000_000];
        assert_eq!(
            nanos.map(|nanos| time(Duration::from_nanos(nanos))),
            ["0", "20 ns", "1.50 µs", "12.3 ms", "1.50 s", "1 min 1 s", "1 d 1 h"]
        );
        assert_eq!(
            [0.0, 0.000_1, 0.5, 0.999_9, 1.0].map(percent),
            ["0 %", "<0.1 %", "50.0 %", ">99.9 %", "100 %"]
        );
        assert_eq!(ago(Duration::from_millis(300)), "now");
        assert_eq!(ago(Duration::from_millis(7_900)), "7 s");
    }
}
