//! The rooms import one way. Source is read as Rust tokens, so that comments, strings and line
//! breaks neither hide an import nor look like one.

use std::{
    collections::BTreeSet,
    fs,
    iter::Peekable,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree, token_stream::IntoIter};

/// The house from the ground up. A room imports from the floors below its own; `demo` is for
/// `cli` and for tests alone.
const FLOORS: &[&[&str]] = &[
    &["secret", "printable", "shell"],
    &["console"],
    &["kubeconfig"],
    &["tls"],
    &["dial"],
    &["credential"],
    &["upstream"],
    &["proxy", "login"],
    &["serve", "admin"],
    &["demo"],
    &["cli"],
    &["main"],
];

/// Rooms beside the house, what each may import, and who may import it.
const LEAVES: &[(&str, &[&str], &[&str])] = &[
    (
        "settings",
        &["secret", "printable", "kubeconfig"],
        &[
            "credential",
            "proxy",
            "login",
            "serve",
            "admin",
            "cli",
            "main",
        ],
    ),
    (
        "telemetry",
        &["printable", "console"],
        &["serve", "admin", "cli", "main"],
    ),
    (
        "descriptors",
        &[],
        &["credential", "upstream", "proxy", "serve", "cli"],
    ),
    ("core_dumps", &[], &["credential", "login", "main"]),
];

#[test]
fn rooms_import_one_way() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let mut imports = BTreeSet::new();
    let mut faults = Vec::new();
    for file in &files {
        let place = Place::of(file.strip_prefix(&source).unwrap());
        if !known(&place.room) {
            faults.push(format!("{} is in no room of the plan", file.display()));
        }
        for mention in mentions(&fs::read_to_string(file).unwrap(), &place) {
            if let Some(fault) = judge(&place, &mention) {
                faults.push(format!("{}: {fault}", file.display()));
            }
            imports.insert((place.room.clone(), mention.to));
        }
    }
    let witness = ("kubeconfig", "secret");
    assert!(
        imports.iter().any(|(from, to)| (&**from, &**to) == witness),
        "read {} files and did not see {witness:?}: {imports:?}",
        files.len()
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn an_import_up_the_house_is_caught_however_it_is_written() {
    for (file, source, fault) in [
        (
            "tls/trust.rs",
            "use crate::proxy::Stack;",
            "tls imports proxy",
        ),
        ("proxy/mod.rs", "use crate::login;", "proxy imports login"),
        (
            "login/mod.rs",
            "use crate::{secret::Secret, proxy::{self, x}};",
            "login imports proxy",
        ),
        (
            "secret.rs",
            "fn f() { crate::kubeconfig::load() }",
            "secret imports kubeconfig",
        ),
        (
            "dial/mod.rs",
            "use super::upstream::Pool;",
            "dial imports upstream",
        ),
        (
            "dial/tcp.rs",
            "use super::super::upstream;",
            "dial imports upstream",
        ),
        (
            "dial/tcp.rs",
            "mod tests { use super::super::super::{serve as s}; }",
            "dial imports serve",
        ),
        (
            "tls/pem.rs",
            "fn f() { vec![crate\n  /* a */ :: cli::run()] }",
            "tls imports cli",
        ),
        (
            "settings.rs",
            "use crate::dial::Dialer;",
            "settings imports dial",
        ),
        (
            "upstream/mod.rs",
            "use crate::settings::Settings;",
            "upstream imports settings",
        ),
        (
            "serve/mod.rs",
            "use crate::demo::Demo;",
            "serve imports demo",
        ),
        ("main.rs", "use kubegate::demo::Demo;", "main imports demo"),
        (
            "cli/mod.rs",
            "use crate::helpers::x;",
            "cli imports helpers",
        ),
        ("cli/mod.rs", "use crate::*;", "cli imports *"),
        (
            "tls/trust.rs",
            "use rustls_pemfile::certs;",
            "tls imports rustls_pemfile",
        ),
    ] {
        assert_eq!(faults(file, source), [fault], "{file}: {source}");
    }
}

#[test]
fn an_import_down_the_house_passes() {
    for (file, source) in [
        (
            "proxy/mod.rs",
            "use crate::{secret::Secret, upstream::{self, Pool}};",
        ),
        (
            "proxy/mod.rs",
            "//! crate::login\nconst S: &str = \"crate::cli\"; // crate::serve::x",
        ),
        (
            "proxy/mod.rs",
            "pub(crate) fn f() { crate::proxy::guard::check() }",
        ),
        (
            "proxy/guard.rs",
            "use super::respond; mod tests { use super::super::route; }",
        ),
        ("tls/pem.rs", "use rustls_pemfile::certs;"),
        ("cli/demo.rs", "use crate::demo::Demo;"),
        ("main.rs", "use kubegate::{cli, telemetry};"),
        (
            "upstream/mod.rs",
            "#[cfg(test)] mod tests { use crate::demo::Demo; }",
        ),
        ("upstream/tests.rs", "use crate::demo::Demo;"),
    ] {
        assert_eq!(faults(file, source), [""; 0], "{file}: {source}");
    }
    let after_tests = "#[cfg(test)] mod tests {} use crate::demo::Demo;";
    assert_eq!(
        faults("upstream/mod.rs", after_tests),
        ["upstream imports demo"]
    );
}

fn faults(file: &str, source: &str) -> Vec<String> {
    let place = Place::of(Path::new(file));
    let mentions = mentions(source, &place);
    mentions
        .iter()
        .filter_map(|mention| judge(&place, mention))
        .collect()
}

/// What is wrong with a mention, if anything is.
fn judge(from: &Place, mention: &Mention) -> Option<String> {
    let (room, to) = (from.room.as_str(), mention.to.as_str());
    let leaf = |name: &str| LEAVES.iter().find(|(leaf, ..)| *leaf == name);
    let allowed = if room == to {
        true
    } else if to == "rustls_pemfile" {
        from.file == Path::new("tls/pem.rs")
    } else if to == "demo" {
        room == "cli" || mention.in_test
    } else if let Some((_, _, importers)) = leaf(to) {
        importers.contains(&room)
    } else if let Some((_, imports, _)) = leaf(room) {
        imports.contains(&to)
    } else {
        floor(to).is_some_and(|to| Some(to) < floor(room))
    };
    (!allowed).then(|| format!("{room} imports {to}"))
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn known(room: &str) -> bool {
    room == "lib" || floor(room).is_some() || LEAVES.iter().any(|(leaf, ..)| *leaf == room)
}

/// Where a source file stands.
struct Place {
    file: PathBuf,
    room: String,
    /// Modules between the crate's root and the file's own items.
    depth: usize,
    test: bool,
}

impl Place {
    fn of(file: &Path) -> Self {
        let mut modules: Vec<String> = file
            .with_extension("")
            .iter()
            .map(|part| part.to_str().unwrap().to_owned())
            .collect();
        let room = modules[0].clone();
        let at_root = ["main", "lib"].contains(&room.as_str());
        modules.retain(|module| module != "mod" && !at_root);
        Self {
            file: file.to_owned(),
            room,
            depth: modules.len(),
            test: modules.iter().any(|module| module == "tests"),
        }
    }
}

/// A path that starts at the crate's root, as far as its first step.
struct Mention {
    to: String,
    in_test: bool,
}

fn mentions(source: &str, place: &Place) -> Vec<Mention> {
    let mut found = Vec::new();
    let tokens: TokenStream = source.parse().unwrap();
    collect(tokens, place.depth, place.test, &mut found);
    found
}

/// Walks the tokens of one module; `depth` is its distance from the crate's root.
fn collect(tokens: TokenStream, depth: usize, in_test: bool, found: &mut Vec<Mention>) {
    let mut tokens = tokens.into_iter().peekable();
    let mut test_item = false;
    let mut mod_item = false;
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(name) if name == "mod" => mod_item = true,
            TokenTree::Ident(name) if starts_path(&name.to_string()) => {
                let up = follow(&name.to_string(), depth);
                steps(up, &mut tokens, &mut |to| {
                    found.push(Mention {
                        to,
                        in_test: in_test || test_item,
                    });
                });
            }
            TokenTree::Group(group) => {
                test_item |= is_cfg_test(&group);
                let inner = depth + usize::from(mod_item);
                collect(group.stream(), inner, in_test || test_item, found);
                if group.delimiter() == Delimiter::Brace {
                    (test_item, mod_item) = (false, false);
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => {
                (test_item, mod_item) = (false, false);
            }
            _ => {}
        }
    }
}

fn starts_path(name: &str) -> bool {
    ["crate", "kubegate", "super", "rustls_pemfile"].contains(&name)
}

/// How far from the root the path is once `name` is read; `None` where it leaves the crate.
fn follow(name: &str, distance: usize) -> Step {
    match name {
        "crate" | "kubegate" => Step::In(0),
        "super" => Step::In(distance.saturating_sub(1)),
        "self" => Step::In(distance),
        other if other == "rustls_pemfile" || distance == 0 => Step::Named(other.to_owned()),
        _ => Step::Away,
    }
}

enum Step {
    /// In a module this far from the root.
    In(usize),
    /// At a name that stands at the root, or at the crate that is watched.
    Named(String),
    /// In a module below the room.
    Away,
}

/// Follows `:: name`, `:: { tree, tree }` and `:: *` until each branch has named something.
fn steps(step: Step, tokens: &mut Peekable<IntoIter>, found: &mut dyn FnMut(String)) {
    let distance = match step {
        Step::Named(name) => return found(name),
        Step::Away => return,
        Step::In(distance) => distance,
    };
    let is_colon = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(p)) if p.as_char() == ':' && p.spacing() == Spacing::Joint);
    if !is_colon(tokens.peek()) {
        return;
    }
    tokens.nth(1);
    match tokens.next() {
        Some(TokenTree::Ident(name)) => steps(follow(&name.to_string(), distance), tokens, found),
        Some(TokenTree::Punct(punct)) if punct.as_char() == '*' && distance == 0 => {
            found("*".to_owned());
        }
        Some(TokenTree::Group(group)) => branches(group.stream(), distance, found),
        _ => {}
    }
}

fn branches(trees: TokenStream, distance: usize, found: &mut dyn FnMut(String)) {
    let mut tokens = trees.into_iter().peekable();
    while let Some(token) = tokens.next() {
        if let TokenTree::Ident(name) = token {
            steps(follow(&name.to_string(), distance), &mut tokens, found);
        }
        while tokens
            .next_if(|t| !matches!(t, TokenTree::Punct(p) if p.as_char() == ','))
            .is_some()
        {}
        tokens.next();
    }
}

fn is_cfg_test(group: &Group) -> bool {
    let text = group.stream().to_string().replace(' ', "");
    group.delimiter() == Delimiter::Bracket
        && text.starts_with("cfg(")
        && text
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| word == "test")
        && !text.contains("not(")
}

pub(crate) fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}
