//! Parses a script into commands and their words.

use std::iter::Peekable;
use std::str::Chars;

/// On what result of the command before it a command depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    /// `;` or a new line.
    Always,
    /// `&&`
    IfSuccess,
    /// `||`
    IfFailure,
}

/// The words of a command before expansion.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) words: Vec<Word>,
    /// `>&2`
    pub(super) to_stderr: bool,
}

/// A word. Expanded variables are not split into words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) pieces: Vec<Piece>,
    /// Whether it has quotes. Such a word is kept even if it is empty.
    pub(super) quoted: bool,
}

/// A part of a word.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Variable(String),
    LastCode,
}

/// Whether a text is a valid name of a variable.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(starts_name) && text.chars().all(continues_name)
}

/// Parses a script.
///
/// # Errors
/// The text of a syntax error: an unterminated quote, or a feature that is not supported.
pub(super) fn parse(script: &str) -> Result<Vec<(Join, Command)>, String> {
    let mut commands = Vec::new();
    let mut join = Join::Always;
    let mut command = Command::default();
    let mut rest = script.chars().peekable();
    while let Some(&next) = rest.peek() {
        match next {
            // A command may continue on the next line after an operator.
            '\n' if command.words.is_empty() => drop(rest.next()),
            '\n' | ';' => {
                rest.next();
                finish(&mut commands, &mut join, &mut command, Join::Always)?;
            }
            ' ' | '\t' | '\r' => drop(rest.next()),
            '#' => while rest.next_if(|&next| next != '\n').is_some() {},
            '&' | '|' => {
                rest.next();
                if rest.next_if_eq(&next).is_none() {
                    return Err(unsupported(next));
                }
                let after = if next == '&' {
                    Join::IfSuccess
                } else {
                    Join::IfFailure
                };
                finish(&mut commands, &mut join, &mut command, after)?;
            }
            '>' => {
                rest.next();
                if rest.next_if_eq(&'&').is_none() || rest.next_if_eq(&'2').is_none() {
                    return Err(unsupported(next));
                }
                command.to_stderr = true;
            }
            '<' | '(' | ')' | '`' => return Err(unsupported(next)),
            _ => {
                let word = word(&mut rest)?;
                // The 1 of `1>&2` is not a word.
                let one = [Piece::Text("1".to_owned())];
                if !(rest.peek() == Some(&'>') && !word.quoted && word.pieces == one) {
                    command.words.push(word);
                }
            }
        }
    }
    let is_incomplete = join != Join::Always;
    if is_incomplete && command.words.is_empty() {
        return Err("a command is missing at the end".to_owned());
    }
    finish(&mut commands, &mut join, &mut command, Join::Always)?;
    Ok(commands)
}

fn finish(
    commands: &mut Vec<(Join, Command)>,
    join: &mut Join,
    command: &mut Command,
    after: Join,
) -> Result<(), String> {
    let command = std::mem::take(command);
    if !command.words.is_empty() {
        commands.push((*join, command));
    } else if after != Join::Always || *join != Join::Always {
        return Err("a command is missing before an operator".to_owned());
    }
    *join = after;
    Ok(())
}

fn unsupported(operator: char) -> String {
    format!("\"{operator}\" is not supported by the demo's shell")
}

fn word(rest: &mut Peekable<Chars<'_>>) -> Result<Word, String> {
    let mut word = Word::default();
    let mut text = String::new();
    while let Some(&next) = rest.peek() {
        match next {
            ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')' | '`' => break,
            '\'' => {
                rest.next();
                word.quoted = true;
                loop {
                    match rest.next().ok_or_else(open_quote)? {
                        '\'' => break,
                        quoted => text.push(quoted),
                    }
                }
            }
            '"' => {
                rest.next();
                word.quoted = true;
                double_quoted(rest, &mut word, &mut text)?;
            }
            '\\' => {
                rest.next();
                // A backslash at the end of a line joins it with the next one.
                text.extend(rest.next().filter(|&next| next != '\n'));
            }
            '$' => variable(rest, &mut word, &mut text)?,
            _ => text.extend(rest.next()),
        }
    }
    flush(&mut word, &mut text);
    Ok(word)
}

fn double_quoted(
    rest: &mut Peekable<Chars<'_>>,
    word: &mut Word,
    text: &mut String,
) -> Result<(), String> {
    loop {
        match rest.peek().copied().ok_or_else(open_quote)? {
            '"' => {
                rest.next();
                return Ok(());
            }
            '$' => variable(rest, word, text)?,
            '`' => return Err(unsupported('`')),
            '\\' => {
                rest.next();
                match rest.next().ok_or_else(open_quote)? {
                    '\n' => {}
                    escaped @ ('$' | '`' | '"' | '\\') => text.push(escaped),
                    other => text.extend(['\\', other]),
                }
            }
            _ => text.extend(rest.next()),
        }
    }
}

/// Parses `$NAME`, `${NAME}` and `$?`. Before anything else a `$` is an ordinary character.
fn variable(
    rest: &mut Peekable<Chars<'_>>,
    word: &mut Word,
    text: &mut String,
) -> Result<(), String> {
    rest.next();
    if rest.next_if_eq(&'?').is_some() {
        flush(word, text);
        word.pieces.push(Piece::LastCode);
        return Ok(());
    }
    if rest.peek() == Some(&'(') {
        return Err(unsupported('('));
    }
    let braced = rest.next_if_eq(&'{').is_some();
    let mut name = String::new();
    while let Some(next) = rest.next_if(|&next| continues_name(next)) {
        name.push(next);
    }
    if braced && (rest.next() != Some('}') || !is_name(&name)) {
        return Err("bad substitution".to_owned());
    }
    if is_name(&name) {
        flush(word, text);
        word.pieces.push(Piece::Variable(name));
    } else {
        text.push('$');
        text.push_str(&name);
    }
    Ok(())
}

fn flush(word: &mut Word, text: &mut String) {
    if !text.is_empty() {
        word.pieces.push(Piece::Text(std::mem::take(text)));
    }
}

fn open_quote() -> String {
    "unterminated quoted string".to_owned()
}

fn starts_name(letter: char) -> bool {
    letter.is_ascii_alphabetic() || letter == '_'
}

fn continues_name(letter: char) -> bool {
    starts_name(letter) || letter.is_ascii_digit()
}
