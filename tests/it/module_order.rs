//! Imports run one way: between the modules of the crate, and between the files of each module.

mod imports;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use imports::{Crate, Source};

/// The modules in layers, from the lowest. A module imports from the layers below its own;
/// `demo` is for `cli` and for tests alone.
const LAYERS: &[&[&str]] = &[
    &["secret", "printable", "shell", "error", "jitter", "hex"],
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

/// A module beside the layers: what it may import, and which modules may import it.
struct Leaf {
    module: &'static str,
    imports: &'static [&'static str],
    importers: &'static [&'static str],
}

const LEAVES: &[Leaf] = &[
    Leaf {
        module: "settings",
        imports: &["secret", "printable", "kubeconfig"],
        importers: &[
            "credential",
            "proxy",
            "login",
            "serve",
            "admin",
            "cli",
            "main",
        ],
    },
    Leaf {
        module: "telemetry",
        imports: &["printable", "console", "error"],
        importers: &["serve", "admin", "cli", "main"],
    },
    Leaf {
        module: "descriptors",
        imports: &[],
        importers: &["credential", "upstream", "proxy", "serve", "cli"],
    },
    Leaf {
        module: "activation",
        imports: &[],
        importers: &["serve", "admin", "cli", "main"],
    },
    Leaf {
        module: "core_dumps",
        imports: &[],
        importers: &["credential", "login", "main"],
    },
    Leaf {
        module: "signals",
        imports: &[],
        importers: &["login", "cli"],
    },
];

/// All that `demo` may use of the product: it stands for other programs.
const DEMO_IMPORTS: &[&str] = &["secret", "tls::server", "tls::Error"];

/// Modules whose files may still import each other in a loop.
const EXCUSED: &[&str] = &["demo"];

#[test]
fn modules_import_one_way() {
    let texts = source_files();
    let found = crate_of(&texts);
    let mut faults = Vec::new();
    let mut imports = BTreeSet::new();
    for (name, source) in &found.files {
        let module = module_of(name);
        if !is_planned(module) {
            faults.push(format!("{name} belongs to no module of the plan"));
        }
        for (path, in_test) in absolute_paths(&found, source) {
            faults.extend(fault(name, &path, in_test).map(|fault| format!("{name}: {fault}")));
            imports.insert((module.to_owned(), path[0].clone()));
        }
    }
    let control = ("kubeconfig", "secret");
    assert!(
        imports.iter().any(|(from, to)| (&**from, &**to) == control),
        "read {} files and did not find {control:?}: {imports:?}",
        texts.len()
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn files_of_a_module_import_each_other_in_no_loop() {
    let texts = source_files();
    let mut unexpected = Vec::new();
    for (module, imports) in loops(&crate_of(&texts)) {
        let text = format!("{module}:\n{}", imports.join("\n"));
        if EXCUSED.contains(&&*module) {
            println!("excused: {text}");
        } else {
            unexpected.push(text);
        }
    }
    assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
}

#[test]
fn an_import_of_a_higher_layer_is_caught_however_it_is_written() {
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
        (
            "demo/mod.rs",
            "use crate::tls::trust::Trust;",
            "demo imports tls::trust::Trust",
        ),
        (
            "demo/mod.rs",
            "use crate::tls; fn f() { tls::verify() }",
            "demo imports tls::verify",
        ),
    ] {
        assert!(
            faults(file, source).contains(&fault.to_owned()),
            "{file}: {source}: {:?}",
            faults(file, source)
        );
    }
}

#[test]
fn an_import_of_a_lower_layer_passes() {
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
        (
            "demo/mod.rs",
            "use crate::{secret::Secret, tls::server::server_config};",
        ),
    ] {
        assert_eq!(faults(file, source), [""; 0], "{file}: {source}");
    }
    let after_tests = "#[cfg(test)] mod tests {} use crate::demo::Demo;";
    assert_eq!(
        faults("upstream/mod.rs", after_tests),
        ["upstream imports demo"]
    );
}

#[test]
fn a_loop_of_files_is_found_whatever_it_passes() {
    let parent = ("proxy/mod.rs", "mod a; mod b; mod c; pub use b::B;");
    for (a, b, c) in [
        // Directly, and by a module in place of its item.
        ("use super::b::B;", "use super::a::A; pub struct B;", ""),
        (
            "fn f() { super::b::go() }",
            "use super::a; fn go() { a::f() }",
            "",
        ),
        // Behind a re-export of the parent, and by three files.
        (
            "use super::B;",
            "use super::c::C; pub struct B;",
            "use crate::proxy::a::A;",
        ),
    ] {
        let files = [
            parent,
            ("proxy/a.rs", a),
            ("proxy/b.rs", b),
            ("proxy/c.rs", c),
        ];
        let found = loops(&Crate::read(files));
        assert!(found.contains_key("proxy"), "{a} | {b} | {c}");
    }
    let own = "mod a; pub use a::A; pub struct P { a: A }";
    let child = "use super::P; pub struct A;";
    let found = loops(&Crate::read([("proxy/mod.rs", own), ("proxy/a.rs", child)]));
    assert!(
        found.contains_key("proxy"),
        "the parent's own item and a child"
    );
}

#[test]
fn what_is_no_loop_of_files_passes() {
    for (parent, a, b) in [
        // A chain, by a re-export too.
        (
            "mod a; mod b; pub use b::B;",
            "use super::B;",
            "pub struct B;",
        ),
        // A parent that only passes on what a child defines, to a child that uses its own items.
        (
            "mod a; mod b; pub use a::A; pub struct P;",
            "use super::P;",
            "use super::P;",
        ),
        // Tests, and the word in a comment or as the name of a variable.
        (
            "mod a; mod b;",
            "use super::b::B; pub struct A;",
            "#[cfg(test)] mod tests { use crate::proxy::a::A; }",
        ),
        (
            "mod a; mod b; fn f(a: u8) { a.len() }",
            "use super::f;",
            "// super::a\nconst S: &str = \"super::a::A\";",
        ),
    ] {
        let files = [
            ("proxy/mod.rs", parent),
            ("proxy/a.rs", a),
            ("proxy/b.rs", b),
        ];
        let found = loops(&Crate::read(files));
        assert!(found.is_empty(), "{parent} | {a} | {b}: {found:?}");
    }
}

fn source_files() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&folder, &mut files);
    files
        .iter()
        .map(|file| {
            let name = file.strip_prefix(&folder).unwrap().to_str().unwrap();
            (name.to_owned(), fs::read_to_string(file).unwrap())
        })
        .collect()
}

fn crate_of(texts: &[(String, String)]) -> Crate {
    Crate::read(texts.iter().map(|(name, text)| (&**name, &**text)))
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

/// The module of the crate that a file belongs to.
fn module_of(file: &str) -> &str {
    let end = file.find(['/', '.']).unwrap();
    &file[..end]
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

fn leaf(module: &str) -> Option<&'static Leaf> {
    LEAVES.iter().find(|leaf| leaf.module == module)
}

fn is_planned(module: &str) -> bool {
    module == "lib" || layer(module).is_some() || leaf(module).is_some()
}

/// Paths that begin at the crate's root, and whether a test has them.
fn absolute_paths(found: &Crate, source: &Source) -> Vec<(Vec<String>, bool)> {
    let of_uses = source.uses.iter().map(|import| &import.path);
    of_uses
        .chain(&source.paths)
        .filter_map(|path| {
            let absolute = match source.absolute(path) {
                Some(absolute) => absolute,
                // Another crate, of which one file alone may use it.
                None if path.segments[0] == "rustls_pemfile" => path.segments.clone(),
                None => return None,
            };
            let in_test = path.in_test || found.is_test(&path.module);
            (!absolute.is_empty()).then_some((absolute, in_test))
        })
        .collect()
}

/// What is wrong with an import, if anything is.
fn fault(file: &str, path: &[String], in_test: bool) -> Option<String> {
    let (module, to) = (module_of(file), path[0].as_str());
    if module == "lib" {
        return None;
    }
    if module == "demo" && to != "demo" && to != "rustls_pemfile" {
        let joined = path.join("::");
        let allowed = in_test
            || DEMO_IMPORTS.iter().any(|allowed| {
                // A module on the way to what is allowed is no use of another thing.
                joined.starts_with(allowed) || allowed.starts_with(&format!("{joined}::"))
            });
        return (!allowed).then(|| format!("demo imports {joined}"));
    }
    let allowed = if module == to {
        true
    } else if to == "rustls_pemfile" {
        file == "tls/pem.rs"
    } else if to == "demo" {
        module == "cli" || in_test
    } else if let Some(leaf) = leaf(to) {
        leaf.importers.contains(&module)
    } else if let Some(leaf) = leaf(module) {
        leaf.imports.contains(&to)
    } else {
        layer(to).is_some_and(|to| Some(to) < layer(module))
    };
    (!allowed).then(|| format!("{module} imports {to}"))
}

fn faults(file: &str, text: &str) -> Vec<String> {
    let found = Crate::read([(file, text)]);
    let paths = absolute_paths(&found, &found.files[file]);
    let faults = paths
        .iter()
        .filter_map(|(path, in_test)| fault(file, path, *in_test));
    faults.collect()
}

/// The imports that belong to a loop, by module of the crate.
fn loops(found: &Crate) -> BTreeMap<String, Vec<String>> {
    let mut edges: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (name, source) in &found.files {
        if name == "main.rs" || found.is_test(&source.module) {
            continue;
        }
        for to in used_files(found, source) {
            if to != name && module_of(to) == module_of(name) {
                edges.insert((name, to));
            }
        }
    }
    // An import whose target leads back to its file is part of a loop.
    let mut loops: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (from, to) in &edges {
        let mut reached = BTreeSet::from([*to]);
        let mut unseen = vec![*to];
        while let Some(file) = unseen.pop() {
            for (_, next) in edges
                .range((file, "")..)
                .take_while(|(from, _)| *from == file)
            {
                if reached.insert(next) {
                    unseen.push(next);
                }
            }
        }
        if reached.contains(from) {
            let module = loops.entry(module_of(from).to_owned()).or_default();
            module.push(format!("  {from} imports {to}"));
        }
    }
    loops
}

/// The files whose items a file uses outside of its tests.
fn used_files<'a>(found: &'a Crate, source: &Source) -> Vec<&'a str> {
    let is_product = |path: &imports::Path| !path.in_test && !found.is_test(&path.module);
    let imported = source
        .uses
        .iter()
        .filter(|import| !import.is_reexport)
        .map(|import| &import.path);
    // A re-export is a use where its name stands elsewhere in the file; a lower-case name on its
    // own is a variable, unless it is called.
    let named = source.paths.iter().filter(|path| {
        let first = &path.segments[0];
        path.segments.len() > 1 || path.is_call || first.starts_with(char::is_uppercase)
    });
    imported
        .chain(named)
        .filter(|path| is_product(path))
        .filter_map(|path| found.file_of(&source.absolute(path)?))
        .collect()
}
