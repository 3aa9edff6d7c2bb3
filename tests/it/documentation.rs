//! The documentation names flags, tests, files and code that exist.

mod commands;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use clap::{Arg, Args as _, Command};
use kubegate::settings::{BrowserFlags, ConnectionFlags, GrantFlags, ProxyFlags};

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The cells of the rows of a Markdown table that begin with code or text, without its header.
fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = table.lines().filter(|line| line.starts_with("| "));
    rows.map(|line| {
        let line = line.trim_end().trim_start_matches('|');
        let line = line.strip_suffix('|').unwrap_or(line);
        line.split('|').map(str::trim).collect()
    })
}

/// What stands between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn flags_of(command: &Command) -> Vec<Arg> {
    let shown = |arg: &&Arg| !arg.is_hide_set();
    command.get_arguments().filter(shown).cloned().collect()
}

#[test]
fn the_documentation_shows_every_flag_of_the_proxy_with_its_default() {
    let page = read("docs/flags.md");
    let (_, table) = page.split_once("| flag of `kubegate [proxy]`").unwrap();
    let table = table.split("\n\n").next().unwrap();
    let rows: Vec<Vec<&str>> = rows(table).collect();
    let flags = flags_of(&ProxyFlags::augment_args(Command::new("proxy")));
    for flag in &flags {
        let long = format!("--{}", flag.get_long().unwrap());
        let row = rows
            .iter()
            .find(|row| code(row[0]).any(|name| name == long));
        let row = row.unwrap_or_else(|| panic!("docs/flags.md has no row for {long}"));
        if let Some(short) = flag.get_short() {
            let short = format!("-{short}");
            assert!(code(row[0]).any(|name| name == short), "{long}: {row:?}");
        }
        let default: Vec<_> = flag.get_default_values().iter().collect();
        if let [default] = default[..] {
            let shown: Vec<_> = code(row[1]).collect();
            assert_eq!(shown, [default.to_str().unwrap()], "{long}");
        }
    }
    let known = |name: &str| {
        flags.iter().any(|flag| {
            let long = flag.get_long().map(|long| format!("--{long}"));
            let short = flag.get_short().map(|short| format!("-{short}"));
            [long, short].iter().flatten().any(|flag| flag == name)
        })
    };
    for name in rows.iter().flat_map(|row| code(row[0])) {
        assert!(
            known(name),
            "docs/flags.md has a row for {name}, which is no flag"
        );
    }
    assert!(!known("--no-such-flag") && !known("-9"));
}

#[test]
fn the_documentation_names_every_flag_of_grants_and_the_browser() {
    let page = read("docs/flags.md");
    let (_, table) = page.split_once("| flag of `kubegate login oidc`").unwrap();
    let table = table.split("\n\n").next().unwrap();
    let named: BTreeSet<&str> = rows(table)
        .flat_map(|row| code(row[0]).collect::<Vec<_>>())
        .collect();
    let login = BrowserFlags::augment_args(GrantFlags::augment_args(Command::new("login")));
    let flags: BTreeSet<String> = flags_of(&login)
        .iter()
        .flat_map(|flag| {
            let aliases = flag.get_visible_aliases().unwrap_or_default();
            flag.get_long()
                .into_iter()
                .chain(aliases)
                .collect::<Vec<_>>()
        })
        .map(|name| format!("--{name}"))
        .collect();
    assert_eq!(named, flags.iter().map(String::as_str).collect());
}

#[test]
fn the_documentation_names_every_flag_for_cluster_and_user() {
    let page = read("docs/flags.md");
    for flag in flags_of(&ConnectionFlags::augment_args(Command::new("options"))) {
        let long = flag.get_long().unwrap();
        let long = match long.len() {
            1 => format!("`-{long}`"),
            _ => format!("--{long}`"),
        };
        assert!(page.contains(&long), "docs/flags.md does not name {long}");
    }
}

#[test]
fn links_of_the_documentation_lead_to_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for page in pages() {
        let text = read(page.to_str().unwrap());
        let folder = root.join(page.parent().unwrap());
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            if link.contains("://") || link.starts_with('#') {
                continue;
            }
            let file = folder.join(link.split('#').next().unwrap());
            assert!(file.exists(), "{}: {link} leads nowhere", page.display());
            count += 1;
        }
    }
    assert!(count > 20, "{count} links");
}

/// Whether code that a page names is there: a file, or a name anywhere in the source. `None` for
/// other code, such as a flag or a header.
fn is_there(code: &str, words: &BTreeSet<String>) -> Option<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if code.contains('/') && code.chars().all(|c| is_word(c) || "/.".contains(c)) {
        return Some(root.join(code).exists() || root.join("src").join(code).exists());
    }
    let names: Vec<&str> = code.split("::").collect();
    let all_words = |name: &&str| !name.is_empty() && name.chars().all(is_word);
    let is_number = code.starts_with(|c: char| c.is_ascii_digit());
    (names.iter().all(all_words) && !is_number)
        .then(|| names.iter().all(|name| words.contains(*name)))
}

#[test]
fn files_and_names_of_the_architecture_exist_in_the_source() {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    let mut words: BTreeSet<String> = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let found = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        words.extend(found.map(str::to_owned));
    }
    let mut missing = Vec::new();
    let mut count = 0;
    for page in pages() {
        let name = page.to_str().unwrap();
        let of_the_code = ["architecture", "glossary", "decisions/"];
        if !of_the_code.iter().any(|part| name.contains(part)) {
            continue;
        }
        for code in code(&read(name)) {
            match is_there(code, &words) {
                Some(false) => missing.push(format!("{name}: {code}")),
                Some(true) => count += 1,
                None => {}
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(count > 50, "{count} names");
    assert_eq!(is_there("proxy/respond.rs", &words), Some(true));
    assert_eq!(is_there("credential::Source", &words), Some(true));
    assert_eq!(is_there("proxy/no_such_file.rs", &words), Some(false));
    assert_eq!(is_there("proxy::NoSuchName", &words), Some(false));
    assert_eq!(is_there("--read-only", &words), None);
}

/// The pages of the documentation, from the root of the project.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "benches/README.md"]
        .map(PathBuf::from)
        .into();
    for folder in ["docs", "docs/decisions", "deploy"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "md") {
                pages.push(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    pages
}

/// The names of functions in a file of Rust or Python.
fn functions(text: &str, names: &mut BTreeSet<String>) {
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = words
            .windows(2)
            .find(|pair| matches!(pair[0], "fn" | "def"));
        if let Some(pair) = after {
            let name = pair[1].split(['(', '<']).next().unwrap();
            names.insert(name.to_owned());
        }
    }
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("node_modules") {
            sources(&path, files);
        } else if path
            .extension()
            .is_some_and(|end| end == "rs" || end == "py")
        {
            files.push(path);
        }
    }
}

#[test]
fn every_difference_from_kubectl_proxy_names_a_test_that_exists() {
    let mut files = Vec::new();
    for folder in ["src", "tests"] {
        sources(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join(folder),
            &mut files,
        );
    }
    let mut tests = BTreeSet::new();
    for file in files {
        functions(&fs::read_to_string(file).unwrap(), &mut tests);
    }
    let differences = read("docs/differences.md");
    let mut rows = rows(&differences);
    assert_eq!(rows.next().unwrap().last(), Some(&"test"), "its header");
    let mut count = 0;
    for row in rows {
        assert_eq!(
            row.len(),
            5,
            "subject, kubectl proxy, kubegate, why, test: {row:?}"
        );
        let named: Vec<&str> = code(row[4]).collect();
        assert!(!named.is_empty(), "no test: {row:?}");
        for name in named {
            let function = name.rsplit(['.', ':']).next().unwrap();
            assert!(tests.contains(function), "there is no test {name}: {row:?}");
        }
        count += 1;
    }
    assert!(count > 9, "{count} rows");
    assert!(!tests.contains("test_of_no_such_name"));
}
