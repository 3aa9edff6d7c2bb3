//! Go's regular expressions, compiled by the `regex` crate.
//!
//! kubectl compiles the patterns of its flags with Go's `regexp`. The syntax of the two differs
//! (`\Q..\E`, octal escapes, a `{` that stands for itself), and so does the meaning of what both
//! accept (`\d`, `\w`, `\s` and `\b` are ASCII in Go; `&&`, `--` and `[` within a class are
//! operators in Rust; `\<` is a character in Go). So a pattern is parsed here by the rules of
//! Go's `regexp/syntax` with its flags for Perl, and each part is written anew in a form that
//! means the same whatever stands around it. Which match is preferred, and captures, do not
//! matter to somebody who asks only whether there is a match.

use std::fmt::Write as _;

use regex::{Regex, RegexBuilder};

/// The largest count in a repetition, as in Go.
const MOST_REPEATS: u32 = 1000;

/// How deep groups may nest, as in Go.
const DEEPEST: u32 = 1000;

/// How much memory a compiled pattern may take, as in Go.
const LARGEST: usize = 128 << 20;

/// Why a pattern cannot be compiled. The texts are Go's.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A backslash before something that it does not go with.
    #[error("invalid escape sequence: {0}")]
    Escape(String),
    /// The pattern ends in a backslash.
    #[error("trailing backslash at end of expression")]
    TrailingBackslash,
    /// `[` without `]`.
    #[error("missing closing ]")]
    MissingBracket,
    /// `(` without `)`.
    #[error("missing closing )")]
    MissingParen,
    /// `)` without `(`.
    #[error("unexpected )")]
    UnexpectedParen,
    /// A range that ends before it begins, or a class that does not exist.
    #[error("invalid character class range: {0}")]
    ClassRange(String),
    /// `(?` and something unknown.
    #[error("invalid or unsupported Perl syntax: {0}")]
    Perl(String),
    /// A group's name that is none.
    #[error("invalid named capture: {0}")]
    Name(String),
    /// A repetition of nothing.
    #[error("missing argument to repetition operator: {0}")]
    MissingArgument(char),
    /// A repetition of a repetition.
    #[error("invalid nested repetition operator: {0}")]
    NestedRepeat(char),
    /// A count above 1000, or a range of counts that ends before it begins.
    #[error("invalid repeat count: {0}")]
    RepeatCount(String),
    /// Too many groups in one another.
    #[error("expression nests too deeply")]
    Depth,
    /// What only the compiler finds: a Unicode class that does not exist, or a size that is too
    /// large.
    #[error(transparent)]
    Compile(Box<regex::Error>),
}

/// Compiles a pattern that Go's `regexp.Compile` would take, to match as Go would.
pub(super) fn compile(pattern: &str) -> Result<Regex, Error> {
    RegexBuilder::new(&translate(pattern)?)
        // Each group of the pattern, and those that are put around its parts.
        .nest_limit(4 * DEEPEST)
        .size_limit(LARGEST)
        .build()
        .map_err(|error| Error::Compile(Box::new(error)))
}

/// `(?ims)`. `U` says only which match is preferred.
#[derive(Clone, Copy, Default)]
struct Flags {
    fold_case: bool,
    multi_line: bool,
    dot_newline: bool,
}

/// A group that is open, or the whole pattern.
#[derive(Default)]
struct Group {
    /// The alternatives before the last `|`, which is the last character.
    before: String,
    /// The parts of the alternative that is being read. The last is what a repetition repeats.
    parts: Vec<String>,
    /// What holds again when the group ends.
    flags: Flags,
}

struct Translator<'a> {
    rest: &'a str,
    flags: Flags,
    /// The open groups, the innermost last.
    open: Vec<Group>,
    group: Group,
}

/// The pattern in Rust's syntax.
fn translate(pattern: &str) -> Result<String, Error> {
    let mut translator = Translator {
        rest: pattern,
        flags: Flags::default(),
        open: Vec::new(),
        group: Group::default(),
    };
    let mut repeated = false;
    while let Some(next) = translator.next() {
        repeated = translator.part(next, repeated)?;
    }
    if !translator.open.is_empty() {
        return Err(Error::MissingParen);
    }
    Ok(translator.group.text())
}

impl Group {
    fn text(self) -> String {
        self.before + &self.parts.concat()
    }
}

impl<'a> Translator<'a> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    fn push(&mut self, part: impl Into<String>) {
        self.group.parts.push(part.into());
    }

    /// Reads what begins with `next`; `repeated` tells whether a repetition was read before it.
    /// Whether this was one.
    fn part(&mut self, next: char, repeated: bool) -> Result<bool, Error> {
        match next {
            '(' => self.open()?,
            ')' => self.close()?,
            '|' => {
                let parts = std::mem::take(&mut self.group.parts);
                self.group.before += &parts.concat();
                self.group.before.push('|');
            }
            '^' if self.flags.multi_line => self.push("(?m:^)"),
            '^' => self.push(r"\A"),
            '$' if self.flags.multi_line => self.push("(?m:$)"),
            '$' => self.push(r"\z"),
            '.' if self.flags.dot_newline => self.push("(?s:.)"),
            '.' => self.push("."),
            '[' => self.class()?,
            '*' | '+' | '?' => {
                self.repeat(next, &String::from(next), repeated)?;
                return Ok(true);
            }
            '{' => match self.count()? {
                Some(count) => {
                    self.repeat(next, &count, repeated)?;
                    return Ok(true);
                }
                None => self.literal('{'),
            },
            '\\' => self.escape()?,
            char => self.literal(char),
        }
        Ok(false)
    }

    fn literal(&mut self, char: char) {
        let mut text = String::new();
        if self.flags.fold_case {
            text.push_str("(?i:");
            write_char(&mut text, char);
            text.push(')');
        } else {
            write_char(&mut text, char);
        }
        self.push(text);
    }

    /// Behind a `(`: a group, or flags for what follows.
    fn open(&mut self) -> Result<(), Error> {
        let outside = self.flags;
        if let Some(perl) = self.rest.strip_prefix('?') {
            let named = perl.strip_prefix("P<").or_else(|| perl.strip_prefix('<'));
            if let Some(named) = named {
                self.rest = after_name(named)?;
            } else if !self.perl_flags(perl)? {
                return Ok(());
            }
        }
        if self.open.len() >= DEEPEST as usize {
            return Err(Error::Depth);
        }
        self.group.flags = outside;
        self.open.push(std::mem::take(&mut self.group));
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        let outside = self.open.pop().ok_or(Error::UnexpectedParen)?;
        self.flags = outside.flags;
        let inside = std::mem::replace(&mut self.group, outside);
        self.push(format!("(?:{})", inside.text()));
        Ok(())
    }

    /// Sets the flags behind `(?`. Whether they open a group.
    fn perl_flags(&mut self, perl: &'a str) -> Result<bool, Error> {
        let (mut flags, mut value, mut any) = (self.flags, true, false);
        for (at, char) in perl.char_indices() {
            match char {
                'i' => flags.fold_case = value,
                'm' => flags.multi_line = value,
                's' => flags.dot_newline = value,
                'U' => {}
                '-' if value => {
                    (value, any) = (false, false);
                    continue;
                }
                ':' | ')' if value || any => {
                    self.rest = &perl[at + 1..];
                    self.flags = flags;
                    return Ok(char == ':');
                }
                _ => break,
            }
            any = true;
        }
        let shown: String = perl.chars().take(8).collect();
        Err(Error::Perl(format!("(?{shown}")))
    }

    /// Repeats the last part.
    fn repeat(&mut self, operator: char, count: &str, repeated: bool) -> Result<(), Error> {
        // Prefers less, which is still the same repetition.
        self.rest = self.rest.strip_prefix('?').unwrap_or(self.rest);
        if repeated {
            return Err(Error::NestedRepeat(operator));
        }
        let part = self.group.parts.pop();
        let part = part.ok_or(Error::MissingArgument(operator))?;
        self.push(format!("(?:{part}){count}"));
        Ok(())
    }

    /// The count behind a `{`, if there is one: else the brace stands for itself.
    fn count(&mut self) -> Result<Option<String>, Error> {
        let Some((inside, rest)) = self.rest.split_once('}') else {
            return Ok(None);
        };
        let (least, most) = inside.split_once(',').unwrap_or((inside, inside));
        if !is_count(least) || !(most.is_empty() || is_count(most)) {
            return Ok(None);
        }
        let number = |text: &str| text.parse().ok().filter(|n: &u32| *n <= MOST_REPEATS);
        let valid = match (number(least), number(most)) {
            (Some(_), None) => most.is_empty(),
            (Some(least), Some(most)) => least <= most,
            (None, _) => false,
        };
        if !valid {
            return Err(Error::RepeatCount(format!("{{{inside}}}")));
        }
        self.rest = rest;
        Ok(Some(format!("{{{inside}}}")))
    }

    /// Behind a backslash, outside of a class.
    fn escape(&mut self) -> Result<(), Error> {
        let before = self.rest;
        match self.next().ok_or(Error::TrailingBackslash)? {
            'A' => self.push(r"\A"),
            'z' => self.push(r"\z"),
            'b' => self.push(r"(?-u:\b)"),
            'B' => self.push(r"(?-u:\B)"),
            'Q' => {
                let (text, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
                text.chars().for_each(|char| self.literal(char));
                self.rest = rest;
            }
            _ => {
                self.rest = before;
                let class = match self.class_escape()? {
                    Some(class) => class,
                    None => match char::from_u32(self.char_escape()?) {
                        Some(char) => {
                            self.literal(char);
                            return Ok(());
                        }
                        // A surrogate, which is in no text.
                        None => NOTHING.to_owned(),
                    },
                };
                let class = self.folded(&class);
                self.push(class);
            }
        }
        Ok(())
    }

    fn folded(&self, class: &str) -> String {
        if self.flags.fold_case {
            format!("(?i:{class})")
        } else {
            class.to_owned()
        }
    }

    /// A class behind a backslash, such as `d` and `p{Greek}`, which may stand in brackets too.
    fn class_escape(&mut self) -> Result<Option<String>, Error> {
        let class = match self.rest.chars().next() {
            Some('d') => "[0-9]",
            Some('D') => "[^0-9]",
            Some('s') => r"[\t\n\f\r ]",
            Some('S') => r"[^\t\n\f\r ]",
            Some('w') => "[0-9A-Za-z_]",
            Some('W') => "[^0-9A-Za-z_]",
            Some(kind @ ('p' | 'P')) => {
                self.next();
                return self.unicode_class(kind == 'P').map(Some);
            }
            _ => return Ok(None),
        };
        self.next();
        Ok(Some(class.to_owned()))
    }

    fn unicode_class(&mut self, mut negated: bool) -> Result<String, Error> {
        let bad = |name: &str| Error::ClassRange(format!(r"\p{name}"));
        let rest = self.rest;
        let mut name = match self.next() {
            None => return Err(bad("")),
            Some('{') => {
                let (name, rest) = self.rest.split_once('}').ok_or_else(|| bad(rest))?;
                self.rest = rest;
                name
            }
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

    /// The character behind a backslash, as a number.
    fn char_escape(&mut self) -> Result<u32, Error> {
        let before = self.rest;
        let bad = || Error::Escape(format!(r"\{}", before.chars().take(3).collect::<String>()));
        let char = self.next().ok_or(Error::TrailingBackslash)?;
        let is_octal = |text: &str| text.starts_with(|char| matches!(char, '0'..='7'));
        Ok(match char {
            // One digit that is no 0 would be a reference to a group.
            '1'..='7' if !is_octal(self.rest) => return Err(bad()),
            '0'..='7' => {
                let mut code = u32::from(char) - u32::from('0');
                for _ in 0..2 {
                    if is_octal(self.rest)
                        && let Some(digit) = self.next().and_then(|char| char.to_digit(8))
                    {
                        code = code * 8 + digit;
                    }
                }
                code
            }
            'x' => self.hexadecimal().ok_or_else(bad)?,
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

    /// Behind `\x`: two digits, or any number of them in braces.
    fn hexadecimal(&mut self) -> Option<u32> {
        let (digits, rest) = match self.rest.strip_prefix('{') {
            Some(braced) => braced.split_once('}')?,
            None => self.rest.split_at_checked(2)?,
        };
        // `from_str_radix` would take a sign.
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.rest = rest;
        let code = u32::from_str_radix(digits, 16).ok();
        code.filter(|code| *code <= u32::from(char::MAX))
    }

    /// Behind a `[`.
    fn class(&mut self) -> Result<(), Error> {
        let (mut members, mut first) = (String::new(), true);
        let negated = self.rest.starts_with('^');
        if negated {
            self.next();
        }
        loop {
            // The first may be a bracket.
            if !first && let Some(rest) = self.rest.strip_prefix(']') {
                self.rest = rest;
                break;
            }
            first = false;
            self.member(&mut members)?;
        }
        let class = match (members.is_empty(), negated) {
            (true, false) => NOTHING.to_owned(),
            (true, true) => "(?s:.)".to_owned(),
            (false, false) => format!("[{members}]"),
            (false, true) => format!("[^{members}]"),
        };
        let class = self.folded(&class);
        self.push(class);
        Ok(())
    }

    /// One member of a class in brackets: a class by its name, a character, or a range.
    fn member(&mut self, members: &mut String) -> Result<(), Error> {
        if self.rest.starts_with("[:")
            && let Some(end) = self.rest.find(":]")
        {
            let (name, rest) = self.rest.split_at(end + 2);
            if !is_ascii_class(name) {
                return Err(Error::ClassRange(name.to_owned()));
            }
            members.push_str(name);
            self.rest = rest;
            return Ok(());
        }
        if let Some(escape) = self.rest.strip_prefix('\\') {
            let before = self.rest;
            self.rest = escape;
            if let Some(class) = self.class_escape()? {
                members.push_str(&class);
                return Ok(());
            }
            self.rest = before;
        }
        let from = self.class_char()?;
        let mut to = from;
        // A dash that is last stands for itself.
        if let Some(range) = self.rest.strip_prefix('-')
            && !range.is_empty()
            && !range.starts_with(']')
        {
            self.rest = range;
            to = self.class_char()?;
        }
        if to < from {
            let shown = |code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
            let range = format!("{}-{}", shown(from), shown(to));
            return Err(Error::ClassRange(range));
        }
        write_range(members, from, to);
        Ok(())
    }

    fn class_char(&mut self) -> Result<u32, Error> {
        match self.next().ok_or(Error::MissingBracket)? {
            '\\' => self.char_escape(),
            char => Ok(char.into()),
        }
    }
}

/// A class that no character is in.
const NOTHING: &str = "[a&&b]";

/// Behind the `<` of a named group.
fn after_name(named: &str) -> Result<&str, Error> {
    let (name, rest) = named.split_once('>').unwrap_or((named, ""));
    let is_usual = |char: char| char.is_ascii_alphanumeric() || char == '_';
    if name.is_empty() || name.len() == named.len() || !name.chars().all(is_usual) {
        return Err(Error::Name(name.to_owned()));
    }
    Ok(rest)
}

/// Digits, without zeros in front.
fn is_count(text: &str) -> bool {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || !text.starts_with('0'))
}

/// `[:alpha:]` and its like, and `[:^alpha:]`.
fn is_ascii_class(name: &str) -> bool {
    let name = name.trim_start_matches("[:").trim_end_matches(":]");
    let name = name.strip_prefix('^').unwrap_or(name);
    let names = [
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
        "space", "upper", "word", "xdigit",
    ];
    names.contains(&name)
}

/// Writes a character so that it stands for itself, in brackets or outside.
fn write_char(text: &mut String, char: char) {
    if char.is_ascii_alphanumeric() || char == '/' {
        text.push(char);
    } else {
        // Writing to a string does not fail.
        let _ = write!(text, r"\x{{{:X}}}", u32::from(char));
    }
}

/// Writes a range without the surrogates in it, which are in no text.
fn write_range(members: &mut String, from: u32, to: u32) {
    let mut write = |from: u32, to: u32| {
        if let (true, Some(from), Some(to)) = (from <= to, char::from_u32(from), char::from_u32(to))
        {
            write_char(members, from);
            members.push('-');
            write_char(members, to);
        }
    };
    if to < 0xD800 || from > 0xDFFF {
        write(from, to);
    } else {
        write(from, 0xD7FF);
        write(0xE000, to);
    }
}

#[cfg(test)]
mod tests;
