//! Translates a pattern of Go's into the syntax of the `regex` crate.

use super::{
    class::class,
    error::Error,
    escape::{char_escape, class_escape},
    input::Input,
    write::{NOTHING, write_char},
};

/// The largest count in a repetition, as in Go.
const MAX_REPEATS: u32 = 1000;

/// How deep groups may nest, as in Go.
pub(super) const MAX_DEPTH: u32 = 1000;

/// Translates a pattern.
pub(super) fn translate(pattern: &str) -> Result<String, Error> {
    let mut translator = Translator {
        input: Input(pattern),
        flags: Flags::default(),
        open: Vec::new(),
        group: Group::default(),
    };
    let mut repeated = false;
    while let Some(next) = translator.input.next() {
        repeated = translator.part(next, repeated)?;
    }
    if !translator.open.is_empty() {
        return Err(Error::MissingParen);
    }
    Ok(translator.group.text())
}

/// The flags of `(?ims)`. `U` only chooses which match is preferred.
#[derive(Clone, Copy, Default)]
struct Flags {
    fold_case: bool,
    multi_line: bool,
    dot_newline: bool,
}

/// An open group, or the whole pattern.
#[derive(Default)]
struct Group {
    /// The alternatives up to the last `|`, which is the last character.
    before: String,
    /// The parts of the current alternative. A repetition repeats the last.
    parts: Vec<String>,
    /// The flags that apply again after the group.
    flags: Flags,
}

impl Group {
    fn text(self) -> String {
        self.before + &self.parts.concat()
    }
}

struct Translator<'a> {
    input: Input<'a>,
    flags: Flags,
    /// The open groups, the innermost last.
    open: Vec<Group>,
    group: Group,
}

impl<'a> Translator<'a> {
    fn push(&mut self, part: impl Into<String>) {
        self.group.parts.push(part.into());
    }

    /// Reads the part that begins with `next`; `repeated` tells whether a repetition precedes it. Returns
    /// whether this part is one.
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
            '[' => {
                let class = class(&mut self.input)?;
                self.push_class(&class);
            }
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

    /// Reads what follows a `(`: a group, or flags for the rest of the group around it.
    fn open(&mut self) -> Result<(), Error> {
        let outside = self.flags;
        if let Some(perl) = self.input.0.strip_prefix('?') {
            let named = perl.strip_prefix("P<").or_else(|| perl.strip_prefix('<'));
            if let Some(named) = named {
                self.input.0 = after_name(named)?;
            } else if !self.perl_flags(perl)? {
                return Ok(());
            }
        }
        if self.open.len() >= MAX_DEPTH as usize {
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

    /// Sets the flags behind `(?`. Returns whether they open a group.
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
                    self.input.0 = &perl[at + 1..];
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
        // A lazy repetition matches the same texts.
        self.input.skip("?");
        if repeated {
            return Err(Error::NestedRepeat(operator));
        }
        let part = self.group.parts.pop();
        let part = part.ok_or(Error::MissingArgument(operator))?;
        self.push(format!("(?:{part}){count}"));
        Ok(())
    }

    /// Reads the count behind a `{`; without one the brace stands for itself.
    fn count(&mut self) -> Result<Option<String>, Error> {
        let Some((inside, rest)) = self.input.0.split_once('}') else {
            return Ok(None);
        };
        let (least, most) = inside.split_once(',').unwrap_or((inside, inside));
        if !is_count(least) || !(most.is_empty() || is_count(most)) {
            return Ok(None);
        }
        let number = |text: &str| text.parse().ok().filter(|n: &u32| *n <= MAX_REPEATS);
        let valid = match (number(least), number(most)) {
            (Some(_), None) => most.is_empty(),
            (Some(least), Some(most)) => least <= most,
            (None, _) => false,
        };
        if !valid {
            return Err(Error::RepeatCount(format!("{{{inside}}}")));
        }
        self.input.0 = rest;
        Ok(Some(format!("{{{inside}}}")))
    }

    /// Reads what follows a backslash, outside of brackets.
    fn escape(&mut self) -> Result<(), Error> {
        let before = self.input;
        match self.input.next().ok_or(Error::TrailingBackslash)? {
            'A' => self.push(r"\A"),
            'z' => self.push(r"\z"),
            'b' => self.push(r"(?-u:\b)"),
            'B' => self.push(r"(?-u:\B)"),
            'Q' => {
                let quoted = self.input.0;
                let (text, rest) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
                text.chars().for_each(|char| self.literal(char));
                self.input.0 = rest;
            }
            _ => {
                self.input = before;
                let class = match class_escape(&mut self.input)? {
                    Some(class) => class,
                    None => match char::from_u32(char_escape(&mut self.input)?) {
                        Some(char) => {
                            self.literal(char);
                            return Ok(());
                        }
                        // A surrogate, which no text contains.
                        None => NOTHING.to_owned(),
                    },
                };
                self.push_class(&class);
            }
        }
        Ok(())
    }

    fn push_class(&mut self, class: &str) {
        self.push(if self.flags.fold_case {
            format!("(?i:{class})")
        } else {
            class.to_owned()
        });
    }
}

/// Returns what follows the name of a group.
fn after_name(named: &str) -> Result<&str, Error> {
    let (name, rest) = named.split_once('>').unwrap_or((named, ""));
    let is_usual = |char: char| char.is_ascii_alphanumeric() || char == '_';
    if name.is_empty() || name.len() == named.len() || !name.chars().all(is_usual) {
        return Err(Error::Name(name.to_owned()));
    }
    Ok(rest)
}

/// Whether it is digits without leading zeros.
fn is_count(text: &str) -> bool {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || !text.starts_with('0'))
}
