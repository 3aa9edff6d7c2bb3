//! Times as Go's `time.Parse(time.RFC3339, ...)` reads them, which is what client-go does with
//! `expirationTimestamp`.

use std::time::SystemTime;

use jiff::{Timestamp, civil};

/// Reads the `expirationTimestamp` of a credential. `None` means that it does not expire: Go's zero
/// time (year 1), and times beyond those that a [`Timestamp`] can hold, such as
/// `9999-12-31T23:59:59Z`, which some plugins write with this intent.
///
/// # Errors
/// The text is no such time.
pub(super) fn parse_expiration(text: &str) -> Result<Option<SystemTime>, ()> {
    let Parsed { seconds, nanos } = parse(text.as_bytes()).ok_or(())?;
    if (seconds, nanos) == (ZERO, 0) {
        return Ok(None);
    }
    if seconds < 0 {
        return Ok(Some(SystemTime::UNIX_EPOCH));
    }
    let time = Timestamp::new(seconds, nanos).ok();
    Ok(time.map(SystemTime::from))
}

/// Go's zero time, 0001-01-01T00:00:00Z, in seconds since 1970.
const ZERO: i64 = -62_135_596_800;

struct Parsed {
    seconds: i64,
    nanos: i32,
}

/// Parses the layout `2006-01-02T15:04:05Z07:00`. As in Go, an hour may have one digit, a fraction
/// has any number of digits after a point or a comma, and an offset has up to 24 hours and 60
/// minutes; letters are upper case, and there is no second 60.
fn parse(text: &[u8]) -> Option<Parsed> {
    let mut rest = text;
    let year = digits(&mut rest, 4)?;
    literal(&mut rest, b'-')?;
    let month = digits(&mut rest, 2)?;
    literal(&mut rest, b'-')?;
    let day = digits(&mut rest, 2)?;
    literal(&mut rest, b'T')?;
    let hour = digits(&mut rest, 2).or_else(|| digits(&mut rest, 1))?;
    literal(&mut rest, b':')?;
    let minute = digits(&mut rest, 2)?;
    literal(&mut rest, b':')?;
    let second = digits(&mut rest, 2)?;
    let nanos = fraction(&mut rest);
    let offset = offset(&mut rest)?;
    if !rest.is_empty() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let small = |number: i64| i8::try_from(number).ok();
    let date = civil::Date::new(i16::try_from(year).ok()?, small(month)?, small(day)?).ok()?;
    let days = i64::from(civil::date(1970, 1, 1).until(date).ok()?.get_days());
    Some(Parsed {
        seconds: days * 86_400 + hour * 3_600 + minute * 60 + second - offset,
        nanos,
    })
}

/// Takes exactly `count` digits.
fn digits(rest: &mut &[u8], count: usize) -> Option<i64> {
    let (number, behind) = rest.split_at_checked(count)?;
    if !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    *rest = behind;
    let value = |sum, digit: &u8| sum * 10 + i64::from(digit - b'0');
    Some(number.iter().fold(0, value))
}

fn literal(rest: &mut &[u8], expected: u8) -> Option<()> {
    *rest = rest.strip_prefix(&[expected])?;
    Some(())
}

/// Nanoseconds; further digits are cut off.
fn fraction(rest: &mut &[u8]) -> i32 {
    let [b'.' | b',', behind @ ..] = *rest else {
        return 0;
    };
    let count = behind
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if count == 0 {
        return 0;
    }
    *rest = &behind[count..];
    let digit = |at: usize| {
        behind[..count]
            .get(at)
            .map_or(0, |digit| i32::from(digit - b'0'))
    };
    (0..9).fold(0, |sum, at| sum * 10 + digit(at))
}

/// Seconds east of Greenwich.
fn offset(rest: &mut &[u8]) -> Option<i64> {
    let (&sign, behind) = rest.split_first()?;
    *rest = behind;
    let sign = match sign {
        b'Z' => return Some(0),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = digits(rest, 2)?;
    literal(rest, b':')?;
    let minutes = digits(rest, 2)?;
    (hours <= 24 && minutes <= 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64, nanos: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos)
    }

    #[test]
    fn times_that_go_accepts_are_accepted() {
        for (text, time) in [
            ("2026-03-05T17:30:20Z", at(1_772_731_820, 0)),
            ("2026-03-05T18:30:20+01:00", at(1_772_731_820, 0)),
            ("2026-03-05T17:30:20.000-00:00", at(1_772_731_820, 0)),
            ("2026-03-05T17:30:20.5Z", at(1_772_731_820, 500_000_000)),
            ("2026-03-05T17:30:20,25Z", at(1_772_731_820, 250_000_000)),
            (
                "2026-03-05T17:30:20.1234567899Z",
                at(1_772_731_820, 123_456_789),
            ),
            ("2026-03-06T17:30:20+24:00", at(1_772_731_820, 0)),
            ("2026-03-05T7:30:20Z", at(1_772_695_820, 0)),
            ("2024-02-29T00:00:00Z", at(1_709_164_800, 0)),
            ("1969-12-31T23:59:59Z", at(0, 0)),
            ("0000-01-01T00:00:00Z", at(0, 0)),
        ] {
            assert_eq!(parse_expiration(text), Ok(Some(time)), "{text}");
        }
    }

    #[test]
    fn gos_zero_time_and_times_too_late_mean_no_expiration() {
        for text in [
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59.999999999-24:60",
            "0001-01-01T00:00:00Z",
        ] {
            assert_eq!(parse_expiration(text), Ok(None), "{text}");
        }
        // The nearest times that count.
        assert!(matches!(
            parse_expiration("9999-12-29T23:59:59Z"),
            Ok(Some(_))
        ));
        assert_eq!(parse_expiration("0001-01-01T00:00:01Z"), Ok(Some(at(0, 0))));
    }

    #[test]
    fn times_that_go_refuses_are_refused() {
        for text in [
            "",
            " 2026-03-05T17:30:20Z",
            "2026-03-05T17:30:20Z ",
            "2026-03-05t17:30:20Z",
            "2026-03-05T17:30:20z",
            "2026-03-05 17:30:20Z",
            "2026-03-05T17:30:20",
            "2026-03-05T17:30Z",
            "2026-03-05T17:30:20.Z",
            "2026-03-05T17:30:60Z",
            "2026-03-05T24:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-3-05T17:30:20Z",
            "12026-03-05T17:30:20Z",
            "2026-03-05T17:30:20+0100",
            "2026-03-05T17:30:20+01",
            "2026-03-05T17:30:20+25:00",
            "2026-03-05T17:30:20 UTC",
            "1772731820",
        ] {
            assert_eq!(parse_expiration(text), Err(()), "{text}");
        }
    }
}
