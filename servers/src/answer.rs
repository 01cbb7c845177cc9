//! Finds where replies of the Redis protocol begin and end.

use std::ops::Range;

/// Length of the first reply; 0 if it is incomplete.
pub(crate) fn length(bytes: &[u8]) -> usize {
    skip(bytes, 0, &mut |_| {}).unwrap_or_default()
}

/// End of the last complete reply.
pub(crate) fn whole(bytes: &[u8]) -> usize {
    let mut end = 0;
    while let Some(next) = skip(bytes, end, &mut |_| {}) {
        end = next;
    }
    end
}

/// Range of the longest string in a reply.
pub(crate) fn longest_text(bytes: &[u8]) -> Option<Range<usize>> {
    let mut longest: Option<Range<usize>> = None;
    skip(bytes, 0, &mut |text| {
        if longest.as_ref().is_none_or(|known| known.len() < text.len()) {
            longest = Some(text);
        }
    })?;
    longest.filter(|text| !text.is_empty())
}

/// End of the reply at `from`; calls `tell` for each of its strings.
fn skip(bytes: &[u8], from: usize, tell: &mut dyn FnMut(Range<usize>)) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let line = rest.iter().position(|&byte| byte == b'\n')?;
    let after = from + line + 1;
    let number = || {
        let digits = rest.get(1..line.checked_sub(1)?)?;
        std::str::from_utf8(digits).ok()?.parse::<i64>().ok()
    };
    match rest.first()? {
        b'$' => match usize::try_from(number()?) {
            Err(_) => Some(after),
            Ok(length) => {
                tell(after..after + length);
                Some(after + length + 2).filter(|&end| end <= bytes.len())
            }
        },
        b'*' => {
            let mut end = after;
            for _ in 0..number()?.max(0) {
                end = skip(bytes, end, tell)?;
            }
            Some(end)
        }
        _ => Some(after),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_end_where_the_protocol_says() {
        let said =
            b"+OK\r\n*3\r\n$3\r\na\r\n\r\n$-1\r\n*1\r\n:7\r\n$16\r\n0123456789abcdef\r\n$9\r\nab";
        assert_eq!(length(said), 5);
        assert_eq!(length(&said[5..]), 26);
        assert_eq!(whole(said), 5 + 26 + 23);
        assert_eq!(length(&said[54..]), 0);
        assert_eq!(longest_text(&said[5..31]), Some(8..11));
        assert_eq!(longest_text(b"+OK\r\n"), None);
    }
}
