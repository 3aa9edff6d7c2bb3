//! [`Contexts`]: the contexts that are served, each below `/clusters/SLUG/`.
//!
//! A request chooses its context in the route layer, by its path or by a [`ContextChoice`] that a layer
//! above has put among its extensions. From there on it has the path behind the slug, so that every
//! rule for paths judges what the API server of that context gets.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::{ArcSwap, Guard};

use super::reload::ReloadHandle;
use crate::kubeconfig::Slug;

/// The path below which contexts are served, without its last slash.
pub const CLUSTERS: &str = "/clusters";

/// How many addresses an error lists.
const LISTED: usize = 20;

/// Chooses the context of a request, among its extensions. The layer that inserts it has also put the
/// API server's own path (`/api/v1/...`) into the request, which the route layer then leaves alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextChoice {
    /// The context of this slug. A request for one that is not served gets 404.
    Slug(Slug),
    /// The context that is served at `/`: the only one, or that of `--default-context`. If there is
    /// none, the request gets 404.
    Default,
}

/// The context that a request's path has named, among its extensions.
#[derive(Clone, Debug)]
pub(super) struct NamedContext(pub(super) Slug);

/// What the list at `/clusters` says of one context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextSummary {
    /// The context's name in the kubeconfig.
    pub name: String,
    /// The URL of its API server, if the context has one.
    pub server: Option<String>,
    /// How that server is verified, in words.
    pub verified_by: Option<String>,
    /// Why the context cannot be used.
    pub error: Option<String>,
}

/// One context that is served.
pub struct ContextEntry {
    summary: ContextSummary,
    slug: Slug,
    handle: ReloadHandle,
    used: AtomicBool,
}

impl ContextEntry {
    /// Creates the entry of a context whose requests go where `handle` leads.
    #[must_use]
    pub fn new(summary: ContextSummary, handle: ReloadHandle) -> Self {
        Self {
            slug: Slug::of_context(&summary.name),
            summary,
            handle,
            used: AtomicBool::new(false),
        }
    }

    /// The same context, with what the list says of it now.
    #[must_use]
    pub fn with_summary(&self, summary: ContextSummary) -> Self {
        Self {
            slug: self.slug.clone(),
            summary,
            handle: self.handle.clone(),
            used: AtomicBool::new(self.used.load(Ordering::Relaxed)),
        }
    }

    /// What the list says of it.
    #[must_use]
    pub fn summary(&self) -> &ContextSummary {
        &self.summary
    }

    /// Its name in addresses.
    #[must_use]
    pub fn slug(&self) -> &Slug {
        &self.slug
    }

    /// Where its requests go.
    #[must_use]
    pub fn handle(&self) -> &ReloadHandle {
        &self.handle
    }

    /// Returns whether a request has come since the last call.
    pub fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Notes that a request has come.
    pub fn note_request(&self) {
        // Most requests find it set, and leave the cache line to the other workers.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }
}

/// What is served outside of `/clusters/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// The API of the only context. Paths below `/clusters/` that name no context are that API's too.
    Only,
    /// The API of `--default-context`, by the context's name.
    Default(String),
    /// No API.
    Nothing,
}

/// The contexts that are served at one time.
pub struct ContextTable {
    /// By name.
    entries: Vec<Arc<ContextEntry>>,
    /// The first segment of a slug or name to all that begin with it, the longest first.
    by_segment: HashMap<Box<str>, Vec<Address>>,
    root: Root,
}

/// A slug or a name, by which a path chooses a context.
struct Address {
    text: Box<str>,
    entry: Arc<ContextEntry>,
}

impl ContextTable {
    /// Creates the table of `entries`, whose slugs differ.
    #[must_use]
    pub fn new(mut entries: Vec<Arc<ContextEntry>>, root: Root) -> Self {
        entries.sort_by(|a, b| a.summary.name.cmp(&b.summary.name));
        let mut by_segment: HashMap<Box<str>, Vec<Address>> = HashMap::new();
        let mut add = |text: &str, entry: &Arc<ContextEntry>| {
            by_segment
                .entry(first_segment(text).into())
                .or_default()
                .push(Address {
                    text: text.into(),
                    entry: Arc::clone(entry),
                });
        };
        for entry in &entries {
            add(entry.slug.as_str(), entry);
            if entry.summary.name != entry.slug.as_str() && is_path(&entry.summary.name) {
                add(&entry.summary.name, entry);
            }
        }
        for addresses in by_segment.values_mut() {
            hide_behind_api_paths(addresses);
            addresses.sort_by_key(|address| std::cmp::Reverse(address.text.len()));
        }
        Self {
            entries,
            by_segment,
            root,
        }
    }

    /// The contexts, by name.
    #[must_use]
    pub fn entries(&self) -> &[Arc<ContextEntry>] {
        &self.entries
    }

    /// What is served outside of `/clusters/`.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The context of a slug.
    #[must_use]
    pub fn by_slug(&self, slug: &Slug) -> Option<&Arc<ContextEntry>> {
        let addresses = self.by_segment.get(slug.as_str())?;
        let address = addresses.iter().find(|a| a.entry.slug == *slug)?;
        Some(&address.entry)
    }

    /// The context that is served at `/`.
    pub(super) fn default_entry(&self) -> Option<&Arc<ContextEntry>> {
        match &self.root {
            Root::Only => self.entries.first(),
            Root::Default(name) => self.entries.iter().find(|e| e.summary.name == *name),
            Root::Nothing => None,
        }
    }

    /// Returns the context that a decoded path below `/clusters/` names, by its slug or its name, the
    /// longest first, and the length of that. `path` begins behind `/clusters/`.
    pub(super) fn find(&self, path: &str) -> Option<(&Arc<ContextEntry>, usize)> {
        let addresses = self.by_segment.get(first_segment(path))?;
        let is_named = |address: &&Address| {
            let rest = path.strip_prefix(&*address.text);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let address = addresses.iter().find(is_named)?;
        Some((&address.entry, address.text.len()))
    }

    /// The addresses of the contexts, for an error.
    pub(super) fn addresses(&self) -> String {
        let mut text = String::new();
        for entry in self.entries.iter().take(LISTED) {
            let comma = if text.is_empty() { "" } else { ", " };
            text += comma;
            text += CLUSTERS;
            text += "/";
            text += entry.slug.as_str();
            text += "/";
        }
        match self.entries.len().checked_sub(LISTED) {
            None | Some(0) => text,
            Some(more) => format!("{text}, and {more} more that {CLUSTERS} lists"),
        }
    }
}

/// The roots of an API server's paths. A context whose name is another's with one of them behind it
/// would take that one's requests, so it is found by its slug alone.
const API_ROOTS: [&str; 10] = [
    "api",
    "apis",
    "openapi",
    "version",
    "healthz",
    "livez",
    "readyz",
    "metrics",
    "logs",
    ".well-known",
];

/// Removes the names that begin with another context's slug or name and an API path.
fn hide_behind_api_paths(addresses: &mut Vec<Address>) {
    let hides = |shorter: &Address, longer: &Address| {
        let rest = longer.text.strip_prefix(&*shorter.text);
        let rest = rest.and_then(|rest| rest.strip_prefix('/'));
        let is_api = rest.is_some_and(|rest| API_ROOTS.contains(&first_segment(rest)));
        is_api && !Arc::ptr_eq(&shorter.entry, &longer.entry)
    };
    let hidden: Vec<_> = addresses
        .iter()
        .map(|longer| addresses.iter().any(|shorter| hides(shorter, longer)))
        .collect();
    let mut hidden = hidden.into_iter();
    addresses.retain(|_| !hidden.next().unwrap_or_default());
}

/// Whether a name can stand in a path, all of whose readings are then the same.
fn is_path(name: &str) -> bool {
    let is_plain = |segment: &str| !matches!(segment, "" | "." | "..");
    name.split('/').all(is_plain)
}

fn first_segment(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
}

/// The contexts that are served now. Clones share their state.
#[derive(Clone)]
pub struct Contexts {
    table: Arc<ArcSwap<ContextTable>>,
    is_only: bool,
}

impl Contexts {
    /// Serves these contexts. What `table` serves at the root stays so: the only context, or not.
    #[must_use]
    pub fn new(table: ContextTable) -> Self {
        Self {
            is_only: table.root == Root::Only,
            table: Arc::new(ArcSwap::from_pointee(table)),
        }
    }

    /// Serves the only context, or a target without a context where there is none.
    #[must_use]
    pub fn only(entry: Option<ContextEntry>) -> Self {
        let entries = entry.into_iter().map(Arc::new).collect();
        Self::new(ContextTable::new(entries, Root::Only))
    }

    /// Serves other contexts from now on. Requests in flight are not touched.
    pub fn replace(&self, table: ContextTable) {
        self.table.store(Arc::new(table));
    }

    /// The contexts that are served now.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<ContextTable>> {
        self.table.load()
    }

    /// Whether there is one context, which `/` serves too.
    #[must_use]
    pub fn is_only(&self) -> bool {
        self.is_only
    }
}

#[cfg(test)]
mod tests;
