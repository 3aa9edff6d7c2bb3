//! Parses what follows a backslash.

use super::{error::Error, input::Input};

/// Reads a class behind a backslash, such as `d` and `p{Greek}`. It may be inside of brackets too.
pub(super) fn class_escape(input: &mut Input<'_>) -> Result<Option<String>, Error> {
    let class = match input.0.chars().next() {
        Some('d') => "[0-9]",
        Some('D') => "[^0-9]",
        Some('s') => r"[\t\n\f\r ]",
        Some('S') => r"[^\t\n\f\r ]",
        Some('w') => "[0-9A-Za-z_]",
        Some('W') => "[^0-9A-Za-z_]",
        Some(kind @ ('p' | 'P')) => {
            input.next();
            return unicode_class(input, kind == 'P').map(Some);
        }
        _ => return Ok(None),
    };
    input.next();
    Ok(Some(class.to_owned()))
}

fn unicode_class(input: &mut Input<'_>, mut negated: bool) -> Result<String, Error> {
    let bad = |name: &str| Error::ClassRange(format!(r"\p{name}"));
    let rest = input.0;
    let mut name = match input.next() {
        None => return Err(bad("")),
        Some('{') => input.take_until('}').ok_or_else(|| bad(rest))?,
        Some(letter) => &rest[..letter.len_utf8()],
    };
    if let Some(positive) = name.strip_prefix('^') {
        (name, negated) = (positive, !negated);
    }
    let is_usual = |char: char| char.is_ascii_alphanumeric() || "_- ".contains(char);
    if name.is_empty() || !name.chars().all(is_usual) {
        return Err(bad(&format!("{{{name}}}")));
    }
    let kind = if negated { 'P' } else { 'p' };
    Ok(format!(r"\{kind}{{{name}}}"))
}

/// Reads the character behind a backslash, as a number.
pub(super) fn char_escape(input: &mut Input<'_>) -> Result<u32, Error> {
    let before = input.0;
    let bad = || Error::Escape(format!(r"\{}", before.chars().take(3).collect::<String>()));
    let char = input.next().ok_or(Error::TrailingBackslash)?;
    let is_octal = |text: &str| text.starts_with(|char| matches!(char, '0'..='7'));
    Ok(match char {
        // A single digit other than 0 would be a reference to a group.
        '1'..='7' if !is_octal(input.0) => return Err(bad()),
        '0'..='7' => {
            let mut code = u32::from(char) - u32::from('0');
            for _ in 0..2 {
                if is_octal(input.0)
                    && let Some(digit) = input.next().and_then(|char| char.to_digit(8))
                {
                    code = code * 8 + digit;
                }
            }
            code
        }
        'x' => hexadecimal(input).ok_or_else(bad)?,
        'a' => 0x07,
        'f' => 0x0C,
        'n' => 0x0A,
        'r' => 0x0D,
        't' => 0x09,
        'v' => 0x0B,
        char if char.is_ascii() && !char.is_ascii_alphanumeric() => char.into(),
        _ => return Err(bad()),
    })
}

/// Reads what follows `\x`: two digits, or any number of them in braces.
fn hexadecimal(input: &mut Input<'_>) -> Option<u32> {
    let (digits, rest) = match input.0.strip_prefix('{') {
        Some(braced) => braced.split_once('}')?,
        None => input.0.split_at_checked(2)?,
    };
    // `from_str_radix` would take a sign.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    input.0 = rest;
    let code = u32::from_str_radix(digits, 16).ok();
    code.filter(|code| *code <= u32::from(char::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_octal_hexadecimal_or_a_letter() {
        for (escape, code, rest) in [
            ("101b", 0o101, "b"),
            ("0", 0, ""),
            ("x41b", 0x41, "b"),
            ("x{1F600}", 0x1F600, ""),
            ("n", 0x0A, ""),
            (".", '.'.into(), ""),
        ] {
            let mut input = Input(escape);
            assert_eq!(char_escape(&mut input), Ok(code), "{escape}");
            assert_eq!(input.0, rest, "{escape}");
        }
        for escape in ["", "1", "x4", "x{}", "x{110000}", "y"] {
            assert!(char_escape(&mut Input(escape)).is_err(), "{escape}");
        }
    }

    #[test]
    fn a_class_is_ascii_or_unicode() {
        for (escape, class) in [
            ("d", Some("[0-9]")),
            ("pL", Some(r"\p{L}")),
            ("P{^Greek}", Some(r"\p{Greek}")),
            ("n", None),
        ] {
            let read = class_escape(&mut Input(escape)).expect(escape);
            assert_eq!(read.as_deref(), class, "{escape}");
        }
        assert!(class_escape(&mut Input("p{")).is_err());
    }
}
