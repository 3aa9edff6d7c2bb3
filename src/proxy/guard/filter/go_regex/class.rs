//! Parses classes in brackets.

use super::{
    error::Error,
    escape::{char_escape, class_escape},
    input::Input,
    write::{NOTHING, write_range},
};

/// Reads what follows a `[`.
pub(super) fn class(input: &mut Input<'_>) -> Result<String, Error> {
    let (mut members, mut first) = (String::new(), true);
    let negated = input.skip("^");
    loop {
        // The first member may be a bracket.
        if !first && input.skip("]") {
            break;
        }
        first = false;
        member(input, &mut members)?;
    }
    Ok(match (members.is_empty(), negated) {
        (true, false) => NOTHING.to_owned(),
        (true, true) => "(?s:.)".to_owned(),
        (false, false) => format!("[{members}]"),
        (false, true) => format!("[^{members}]"),
    })
}

/// Reads one member of a class in brackets: a named class, a character or a range.
fn member(input: &mut Input<'_>, members: &mut String) -> Result<(), Error> {
    if input.0.starts_with("[:")
        && let Some(end) = input.0.find(":]")
    {
        let (name, rest) = input.0.split_at(end + 2);
        if !is_ascii_class(name) {
            return Err(Error::ClassRange(name.to_owned()));
        }
        members.push_str(name);
        input.0 = rest;
        return Ok(());
    }
    let before = *input;
    if input.skip(r"\") {
        if let Some(class) = class_escape(input)? {
            members.push_str(&class);
            return Ok(());
        }
        *input = before;
    }
    let from = class_char(input)?;
    let mut to = from;
    // A dash at the end stands for itself.
    if let Some(range) = input.0.strip_prefix('-')
        && !range.is_empty()
        && !range.starts_with(']')
    {
        input.0 = range;
        to = class_char(input)?;
    }
    if to < from {
        let shown = |code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        let range = format!("{}-{}", shown(from), shown(to));
        return Err(Error::ClassRange(range));
    }
    write_range(members, from, to);
    Ok(())
}

fn class_char(input: &mut Input<'_>) -> Result<u32, Error> {
    match input.next().ok_or(Error::MissingBracket)? {
        '\\' => char_escape(input),
        char => Ok(char.into()),
    }
}

/// Whether it is a class such as `[:alpha:]` or `[:^alpha:]`.
fn is_ascii_class(name: &str) -> bool {
    let name = name.trim_start_matches("[:").trim_end_matches(":]");
    let name = name.strip_prefix('^').unwrap_or(name);
    let names = [
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
        "space", "upper", "word", "xdigit",
    ];
    names.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_hold_characters_ranges_and_classes() {
        for (pattern, translated, rest) in [
            ("ab]c", "[a-ab-b]", "c"),
            ("]a]", r"[\x{5D}-\x{5D}a-a]", ""),
            ("^a-c]", "[^a-c]", ""),
            ("[:alpha:]]", "[[:alpha:]]", ""),
            (r"\d-]", r"[[0-9]\x{2D}-\x{2D}]", ""),
        ] {
            let mut input = Input(pattern);
            assert_eq!(class(&mut input).as_deref(), Ok(translated), "{pattern}");
            assert_eq!(input.0, rest, "{pattern}");
        }
        for pattern in ["a", "", "b-a]", "[:alpah:]]", r"\"] {
            assert!(class(&mut Input(pattern)).is_err(), "{pattern}");
        }
    }
}
