//! Reads the imports of a source file as Rust tokens, so that comments, strings and line breaks
//! neither hide an import nor look like one.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter::Peekable,
};

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree, token_stream::IntoIter};

/// Names that begin a path from another module or from the crate's root.
const ROOTS: [&str; 4] = ["crate", "kubegate", "super", "self"];

/// One file: the module that it is, and what it imports, declares and names.
#[derive(Default)]
pub(super) struct Source {
    /// From the crate's root, such as `["upstream", "pool"]`.
    pub(super) module: Vec<String>,
    /// The leaves of all `use` items.
    pub(super) uses: Vec<Import>,
    /// Paths outside of `use` items.
    pub(super) paths: Vec<Path>,
    /// Modules that this file declares, inline ones included.
    pub(super) modules: BTreeSet<Vec<String>>,
    /// Those among them that only a test build has.
    pub(super) test_modules: BTreeSet<Vec<String>>,
}

/// A leaf of a `use` item.
pub(super) struct Import {
    pub(super) path: Path,
    /// The name that it gets here; `*` for all names of a module.
    pub(super) name: String,
    /// `pub use`: it makes the name available to others and is no use of it here.
    pub(super) is_reexport: bool,
}

/// A path as it is written, and where.
#[derive(Clone)]
pub(super) struct Path {
    pub(super) segments: Vec<String>,
    /// The module around it: that of the file, or one inside the file.
    pub(super) module: Vec<String>,
    pub(super) in_test: bool,
    /// Followed by parentheses, as the call of a function is.
    pub(super) is_call: bool,
}

impl Source {
    /// `file` is relative to the source folder, such as `tls/trust.rs`.
    pub(super) fn read(file: &std::path::Path, text: &str) -> Self {
        let parts = file.with_extension("");
        let mut module: Vec<String> = parts
            .iter()
            .map(|part| part.to_str().unwrap().to_owned())
            .collect();
        module.retain(|part| !["mod", "main", "lib"].contains(&part.as_str()));
        let in_test = module.iter().any(|part| part == "tests");
        let mut source = Self {
            module: module.clone(),
            ..Self::default()
        };
        source.items(text.parse().unwrap(), &module, in_test);
        source
    }

    /// A path from the crate's root, where the file says enough to know it; else `None`, as for
    /// a local variable or another crate.
    pub(super) fn absolute(&self, path: &Path) -> Option<Vec<String>> {
        let first = path.segments.first()?;
        if ROOTS.contains(&first.as_str()) {
            return from_root(&path.segments, &path.module);
        }
        let child: Vec<String> = [&path.module[..], &path.segments[..1]].concat();
        if self.modules.contains(&child) {
            return Some([&path.module[..], &path.segments[..]].concat());
        }
        let import = self.uses.iter().find(|import| import.name == *first)?;
        if import.path.segments[0] == *first {
            return None;
        }
        let mut target = self.absolute(&import.path)?;
        target.extend_from_slice(&path.segments[1..]);
        Some(target)
    }

    fn items(&mut self, tokens: TokenStream, module: &[String], in_test: bool) {
        let mut tokens = tokens.into_iter().peekable();
        let (mut test_item, mut public) = (false, false);
        let mut inner: Option<Vec<String>> = None;
        let mut before = None;
        while let Some(token) = tokens.next() {
            let last = before.replace(token.to_string());
            match token {
                TokenTree::Ident(name) if name == "mod" => {
                    if let Some(TokenTree::Ident(name)) = tokens.peek() {
                        let declared = [module, &[name.to_string()]].concat();
                        if in_test || test_item {
                            self.test_modules.insert(declared.clone());
                        }
                        self.modules.insert(declared.clone());
                        inner = Some(declared);
                        tokens.next();
                    }
                }
                TokenTree::Ident(name) if name == "pub" => public = true,
                TokenTree::Ident(name) if name == "use" && !is_punct(tokens.peek(), '<') => {
                    let at = Path {
                        segments: Vec::new(),
                        module: module.to_vec(),
                        in_test: in_test || test_item,
                        is_call: false,
                    };
                    self.use_tree(&mut tokens, &at, public);
                }
                TokenTree::Ident(name) if !matches!(last.as_deref(), Some("." | "fn")) => {
                    let mut segments = vec![name.to_string()];
                    while is_path_separator(&mut tokens) {
                        tokens.nth(1);
                        match tokens.peek() {
                            Some(TokenTree::Ident(name)) => segments.push(name.to_string()),
                            _ => break,
                        }
                        tokens.next();
                    }
                    let is_call = matches!(tokens.peek(), Some(TokenTree::Group(group))
                        if group.delimiter() == Delimiter::Parenthesis);
                    self.paths.push(Path {
                        segments,
                        module: module.to_vec(),
                        in_test: in_test || test_item,
                        is_call,
                    });
                }
                TokenTree::Group(group) => {
                    test_item |= is_cfg_test(&group);
                    let inside = inner.take().unwrap_or_else(|| module.to_vec());
                    self.items(group.stream(), &inside, in_test || test_item);
                    if group.delimiter() == Delimiter::Brace {
                        (test_item, public) = (false, false);
                    }
                }
                TokenTree::Punct(punct) if punct.as_char() == ';' => {
                    (test_item, public, inner) = (false, false, None);
                }
                _ => {}
            }
        }
    }

    /// One tree of a `use` item, up to its comma or semicolon; `at` is the path so far.
    fn use_tree(&mut self, tokens: &mut Peekable<IntoIter>, at: &Path, is_reexport: bool) {
        let mut path = at.clone();
        let mut name = None;
        while let Some(token) = tokens.next_if(|token| !ends_tree(token)) {
            match token {
                TokenTree::Ident(word) if word == "as" => {
                    name = tokens.next().map(|name| name.to_string());
                }
                TokenTree::Ident(word) if word == "self" && !path.segments.is_empty() => {}
                TokenTree::Ident(word) => path.segments.push(word.to_string()),
                TokenTree::Punct(punct) if punct.as_char() == '*' => {
                    path.segments.push("*".to_owned());
                }
                TokenTree::Group(group) => {
                    let mut trees = group.stream().into_iter().peekable();
                    while trees.peek().is_some() {
                        self.use_tree(&mut trees, &path, is_reexport);
                        trees.next();
                    }
                    return;
                }
                _ => {}
            }
        }
        if let Some(last) = path.segments.last() {
            self.uses.push(Import {
                name: name.unwrap_or_else(|| last.clone()),
                path,
                is_reexport,
            });
        }
    }
}

/// Follows `crate`, `self` and `super`; `None` for a path that begins otherwise.
fn from_root(segments: &[String], module: &[String]) -> Option<Vec<String>> {
    let mut at = module.to_vec();
    let mut rest = segments;
    loop {
        match rest.first().map(String::as_str) {
            Some("crate" | "kubegate") => at.clear(),
            Some("super") => _ = at.pop(),
            Some("self") => {}
            _ => break,
        }
        rest = &rest[1..];
    }
    at.extend_from_slice(rest);
    (rest.len() < segments.len()).then_some(at)
}

fn ends_tree(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if matches!(punct.as_char(), ',' | ';'))
}

fn is_punct(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

fn is_path_separator(tokens: &mut Peekable<IntoIter>) -> bool {
    matches!(tokens.peek(), Some(TokenTree::Punct(punct))
        if punct.as_char() == ':' && punct.spacing() == Spacing::Joint)
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

/// All files of the crate by name, with what is known of modules across them.
pub(super) struct Crate {
    pub(super) files: BTreeMap<String, Source>,
    /// The file that holds each module.
    modules: BTreeMap<Vec<String>, String>,
    test_modules: BTreeSet<Vec<String>>,
}

impl Crate {
    pub(super) fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let files: BTreeMap<String, Source> = files
            .into_iter()
            .map(|(name, text)| {
                let source = Source::read(std::path::Path::new(name), text);
                (name.to_owned(), source)
            })
            .collect();
        let mut modules = BTreeMap::new();
        let mut test_modules = BTreeSet::new();
        for (name, source) in files.iter().filter(|(name, _)| *name != "main.rs") {
            test_modules.extend(source.test_modules.iter().cloned());
            for module in &source.modules {
                modules
                    .entry(module.clone())
                    .or_insert_with(|| name.clone());
            }
        }
        // A module that has a file of its own belongs to that file, wherever it is declared.
        for (name, source) in files.iter().filter(|(name, _)| *name != "main.rs") {
            modules.insert(source.module.clone(), name.clone());
        }
        Self {
            files,
            modules,
            test_modules,
        }
    }

    pub(super) fn is_test(&self, module: &[String]) -> bool {
        (1..=module.len()).any(|end| self.test_modules.contains(&module[..end]))
    }

    /// The file that defines what a path from the root names, behind all re-exports. `None` for
    /// a path that ends at a module or names nothing here.
    pub(super) fn file_of(&self, path: &[String]) -> Option<&str> {
        self.follow(path, 16)
    }

    fn follow(&self, path: &[String], steps: usize) -> Option<&str> {
        if steps == 0 {
            return None;
        }
        let end = (0..=path.len())
            .rev()
            .find(|end| self.modules.contains_key(&path[..*end]))?;
        let (module, item) = path.split_at(end);
        let name = item.first()?;
        let file = &self.modules[module];
        let source = &self.files[file];
        let imports = || {
            let here = source.uses.iter();
            here.filter(|import| import.path.module == module && !import.path.in_test)
        };
        if let Some(import) = imports().find(|import| import.name == *name && name != "*") {
            let mut target = source.absolute(&import.path)?;
            target.extend_from_slice(&item[1..]);
            return self.follow(&target, steps - 1);
        }
        Some(file)
    }
}
