//! The commands that open a URL: those of `BROWSER`, or of `--browser-command`.

use std::path::Path;

/// Returns the commands of `BROWSER`, which are separated by colons. A colon in quotes separates nothing.
pub(super) fn commands(browser: &str) -> Vec<&str> {
    let mut commands = Vec::new();
    let mut quote = None;
    let mut start = 0;
    for (at, char) in browser.char_indices() {
        match (quote, char) {
            (None, '"' | '\'') => quote = Some(char),
            (Some(open), _) if open == char => quote = None,
            (None, ':') => {
                commands.push(&browser[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    commands.push(&browser[start..]);
    commands.retain(|command| !command.trim().is_empty());
    commands
}

/// Returns the program and the arguments of a command. The URL stands in place of `%s`, or else comes
/// last, and is never split; `%%` is a percent sign.
///
/// Words are separated as a shell does it, by spaces outside of quotes. A program whose path has spaces
/// is found without quotes too.
pub(super) fn words(command: &str, url: &str) -> Vec<String> {
    let command = command.trim();
    let (program, arguments) = program_with_spaces(command).unwrap_or(("", command));
    let mut words = split(arguments);
    if !program.is_empty() {
        words.insert(0, program.to_owned());
    }
    if !words.iter().any(|word| has_placeholder(word)) {
        words.push("%s".to_owned());
    }
    words.iter().map(|word| filled(word, url)).collect()
}

/// Returns the program at the beginning of `command` whose path has spaces, if there is such a file, and
/// what follows it.
fn program_with_spaces(command: &str) -> Option<(&str, &str)> {
    if !command.starts_with('/') || !command.contains(' ') {
        return None;
    }
    let spaces = command.rmatch_indices(' ').map(|(at, _)| at);
    let mut ends = std::iter::once(command.len()).chain(spaces);
    let end = ends.find(|&end| Path::new(&command[..end]).is_file())?;
    Some(command.split_at(end))
}

fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match (quote, char) {
            (None, '"' | '\'') => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (Some(open), _) if open == char => quote = None,
            (None, _) if char.is_whitespace() => words.extend(word.take()),
            (Some('"'), '\\') if !matches!(chars.peek(), Some('"' | '\\')) => {
                word.get_or_insert_default().push(char);
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(chars.next()),
            _ => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    words
}

fn has_placeholder(word: &str) -> bool {
    word.replace("%%", "").contains("%s")
}

fn filled(word: &str, url: &str) -> String {
    let parts = word.split("%%").map(|part| part.replace("%s", url));
    parts.collect::<Vec<_>>().join("%")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_colon_outside_of_quotes_separates_commands() {
        assert_eq!(commands("a %s:b"), ["a %s", "b"]);
        assert_eq!(commands(" :a 'x:y' \"p:q\": "), ["a 'x:y' \"p:q\""]);
        assert!(commands("").is_empty());
    }

    #[test]
    fn words_are_those_of_a_shell_and_the_url_is_one_of_them() {
        let url = "https://a/?b=%s&c=d e\"'";
        for (command, expected) in [
            ("firefox", &["firefox", url][..]),
            (
                " firefox  --new %s --end ",
                &["firefox", "--new", url, "--end"],
            ),
            (
                "'my browser' \"--a b\" --url=%s",
                &["my browser", "--a b", &format!("--url={url}")],
            ),
            ("a '' 100%% \"%s\"", &["a", "", "100%", url]),
            (
                r#"a b\ c "d\"e\f" %%s"#,
                &["a", "b c", r#"d"e\f"#, "%s", url],
            ),
            ("/nonexistent/x y", &["/nonexistent/x", "y", url]),
        ] {
            assert_eq!(words(command, url), expected, "{command}");
        }
    }

    #[test]
    fn a_program_with_spaces_in_its_path_needs_no_quotes() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("Program Files (x86) browser");
        std::fs::write(&program, "").unwrap();
        let program = program.to_str().unwrap();
        assert_eq!(words(program, "u"), [program, "u"]);
        let with_arguments = format!("{program} --new '%s #'");
        assert_eq!(words(&with_arguments, "u"), [program, "--new", "u #"]);
    }
}
