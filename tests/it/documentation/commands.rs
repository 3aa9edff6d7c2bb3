//! The command lines of kubegate in the documentation have commands and flags that exist.

use std::collections::{BTreeMap, BTreeSet};

use super::{code, pages, read, rows};
use crate::support::Kubegate;

/// The words that the program prints as help, by command.
#[derive(Default)]
struct Help(BTreeMap<String, BTreeSet<String>>);

impl Help {
    fn words(&mut self, args: &[&str]) -> &BTreeSet<String> {
        self.0.entry(args.join(" ")).or_insert_with(|| {
            let output = Kubegate::command(args).output().unwrap();
            assert!(output.status.success(), "{args:?}: {output:?}");
            let text = String::from_utf8(output.stdout).unwrap();
            let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
            words.map(str::to_owned).collect()
        })
    }

    fn has_flag(&mut self, command: &[&str], flag: &str) -> bool {
        // What kubegate does without a command.
        let command = if command.is_empty() {
            &["proxy"]
        } else {
            command
        };
        let help = self.words(&[command, &["--help"]].concat());
        help.contains(flag) || self.words(&["options"]).contains(flag)
    }
}

/// Returns the subcommand that a command line of kubegate names, and its flags.
fn command_line<'a>(words: &[&'a str]) -> (Vec<&'a str>, Vec<&'a str>) {
    let is_command = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let is_command = |word: &&str| !word.starts_with('-') && is_command(word);
    let command = words.iter().copied().take_while(is_command);
    let flags = words.iter().filter(|word| word.starts_with('-'));
    let flags = flags.map(|flag| flag.split('=').next().unwrap());
    (command.collect(), flags.collect())
}

/// The command lines of kubegate in the code blocks of a page, without the program's name.
fn command_lines(page: &str) -> Vec<Vec<&str>> {
    let mut lines = Vec::new();
    for block in page.split("```").skip(1).step_by(2) {
        let mut words: Vec<&str> = Vec::new();
        for line in block.lines() {
            words.extend(line.split_whitespace().take_while(|word| *word != "#"));
            if words.last() == Some(&"\\") {
                words.pop();
                continue;
            }
            // After a pipe or variables; elsewhere it is an argument.
            let begins = |at: usize| at == 0 || words[at - 1] == "|" || words[at - 1].contains('=');
            let start = (0..words.len()).find(|at| words[*at] == "kubegate" && begins(*at));
            if let Some(start) = start {
                let rest = words[start + 1..].iter();
                let own = rest.take_while(|word| !["|", "&&", "<"].contains(word));
                lines.push(own.copied().collect());
            }
            words.clear();
        }
    }
    lines
}

#[test]
fn commands_and_flags_for_users_of_other_tools_exist() {
    let page = read("docs/coming-from-other-tools.md");
    let mut help = Help::default();
    let mut count = 0;
    for section in page.split("\n## ").skip(1) {
        let mut rows = rows(section);
        let header = rows.next().unwrap();
        let of_header: Vec<&str> = match code(header[1]).next() {
            Some(command) => command.split(' ').skip(1).collect(),
            None => Vec::new(),
        };
        for row in rows {
            for line in code(row[1]) {
                let words: Vec<&str> = line.split_whitespace().collect();
                let (command, flags) = if words[0] == "kubegate" {
                    command_line(&words[1..])
                } else {
                    (of_header.clone(), command_line(&words).1)
                };
                for flag in ["--help"].into_iter().chain(flags) {
                    assert!(help.has_flag(&command, flag), "{line}: no {flag}");
                    count += 1;
                }
            }
        }
    }
    assert!(count > 60, "{count} flags");
    assert!(!help.has_flag(&["login", "oidc"], "--no-such-flag"));
}

#[test]
fn command_lines_of_the_documentation_name_commands_and_flags_that_exist() {
    let mut help = Help::default();
    let mut count = 0;
    for page in pages() {
        let text = read(page.to_str().unwrap());
        for words in command_lines(&text) {
            let (command, flags) = command_line(&words);
            for flag in ["--help"].into_iter().chain(flags) {
                let exists = help.has_flag(&command, flag);
                assert!(exists, "{}: {words:?}: no {flag}", page.display());
            }
            count += 1;
        }
    }
    assert!(count > 15, "{count} command lines");
    let page =
        "```sh\npass x | kubegate login \\\n  -u jane # so\nls kubegate -x\n```\nkubegate no\n";
    assert_eq!(command_lines(page), [["login", "-u", "jane"]]);
}
