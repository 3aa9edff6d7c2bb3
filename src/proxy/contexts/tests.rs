#![allow(clippy::unwrap_used)]
use crate::proxy::{
    Drain,
    context_path::{self, ContextPath},
};
use crate::settings::ClientCredentials;

use super::*;

fn entry(name: &str) -> Arc<ContextEntry> {
    let handle = ReloadHandle::nowhere(ClientCredentials::Forward, Drain::default());
    let summary = ContextSummary {
        name: name.to_owned(),
        server: None,
        verified_by: None,
        error: None,
    };
    Arc::new(ContextEntry::new(summary, handle))
}

fn table(names: &[&str], root: Root) -> ContextTable {
    ContextTable::new(names.iter().map(|name| entry(name)).collect(), root)
}

/// The context and the rest of the path, `list`, `root`, or the status of a refusal.
fn read(table: &ContextTable, target: &str) -> String {
    match context_path::read(table, target) {
        Ok(ContextPath::List) => "list".to_owned(),
        Ok(ContextPath::Other) => "root".to_owned(),
        Ok(ContextPath::Context(entry, begin)) => {
            format!("{} {}", entry.summary.name, &target[begin..])
        }
        Err(refusal) => refusal.status.as_str().to_owned(),
    }
}

#[test]
fn a_path_names_its_context_by_slug_or_name() {
    let odd = "ns/host:6443/kube:admin";
    let slug = Slug::of_context(odd);
    let table = table(
        &["a", "b", odd, "ns", "a b", "50%", "caf\u{e9}"],
        Root::Nothing,
    );
    for (target, to) in [
        (
            "/clusters/a/api/v1/pods?x=/clusters/b/",
            "a /api/v1/pods?x=/clusters/b/",
        ),
        ("/clusters/b/", "b /"),
        ("/clusters/a", "a "),
        ("/clusters/a?x", "a ?x"),
        (
            "/clusters/ns/host:6443/kube:admin/api",
            "ns/host:6443/kube:admin /api",
        ),
        (
            "/clusters/ns/host%3a6443/kube%3Aadmin/api/%2F",
            "ns/host:6443/kube:admin /api/%2F",
        ),
        (
            "/clusters/ns%2Fhost:6443%2Fkube:admin/api",
            "ns/host:6443/kube:admin /api",
        ),
        (
            &format!("/clusters/{slug}/api"),
            "ns/host:6443/kube:admin /api",
        ),
        ("/clusters/ns/api/v1", "ns /api/v1"),
        (
            "/clusters/ns/host:6443/kube:admin2/api",
            "ns /host:6443/kube:admin2/api",
        ),
        ("/clusters/a%20b/api", "a b /api"),
        ("/clusters/50%25/api", "50% /api"),
        ("/clusters/caf%C3%A9/api", "caf\u{e9} /api"),
        ("/clusters/caf\u{e9}/api", "caf\u{e9} /api"),
        ("/clusters", "list"),
        ("/clusters/", "list"),
        ("/clusters?x", "list"),
        ("/", "root"),
        ("/api/v1/pods", "root"),
        ("/clustersx", "root"),
        ("/clusters-a/", "root"),
        ("/api//v1", "root"),
        ("/Clusters/a/", "root"),
        ("/clusters/none/api", "404"),
        ("/clusters/ab/api", "404"),
        ("/clusters/A/api", "404"),
        ("?a", "root"),
        ("*", "root"),
    ] {
        assert_eq!(read(&table, target), to, "{target}");
    }
}

#[test]
fn a_path_with_two_readings_reaches_no_other_context() {
    let several = table(&["a", "b", "a/b", "ab/c"], Root::Default("a".to_owned()));
    for (target, to) in [
        ("/clusters/a/../b/api", "400"),
        ("/clusters/a/%2e%2e/b/api", "400"),
        ("/clusters/a/%2E./b/api", "400"),
        ("/clusters/../clusters/b/api", "400"),
        ("/clusters/a/./b/api", "400"),
        ("/clusters/a//b/api", "400"),
        ("/clusters/./a/api", "400"),
        ("/clusters//a/api", "400"),
        ("//clusters/b/api", "400"),
        ("/./clusters/b/api", "400"),
        ("/%2e/clusters/b/api", "400"),
        ("/%63lusters/b/api", "400"),
        ("/%63lusters", "400"),
        ("/clusters%2Fb/api", "400"),
        ("/clusters%2Fab/c/api", "400"),
        ("/clusters%2fab%2Fc/api", "400"),
        ("/clusters/b%2Fapi", "400"),
        ("/clusters/a%2Fb%2Fapi", "400"),
        ("/clusters/a\\b/api", "400"),
        ("/clusters/a%5cb/api", "400"),
        ("/clusters/a%00/api", "400"),
        ("/clusters/%c0%af/api", "400"),
        ("/clusters/%zz/api", "400"),
        ("/clusters/a%252Fb/api", "404"),
        // One context in each reading, whose API server or guard judges the rest.
        ("/clusters/b//api", "b //api"),
        ("/clusters/b/./api", "b /./api"),
        ("/clusters/a/b//api", "a/b //api"),
        ("/clusters/%61/api", "a /api"),
        ("/clusters/a%2Fb/api", "a/b /api"),
        ("/clusters/a/%62/api", "a/b /api"),
        ("/clusters/ab/c/api", "ab/c /api"),
    ] {
        assert_eq!(read(&several, target), to, "{target}");
    }
}

#[test]
fn a_name_does_not_take_the_api_paths_of_another() {
    let table = table(
        &["a", "a/api", "a/apis/x", "a/b", "a/b/version", "c/d/api"],
        Root::Nothing,
    );
    for (target, to) in [
        ("/clusters/a/api/v1/pods", "a /api/v1/pods"),
        ("/clusters/a/apis/x/v1", "a /apis/x/v1"),
        ("/clusters/a/b/version", "a/b /version"),
        ("/clusters/c/d/api/api/v1", "c/d/api /api/v1"),
    ] {
        assert_eq!(read(&table, target), to, "{target}");
    }
    let path = format!("/clusters/{}/api/v1", Slug::of_context("a/api"));
    assert_eq!(read(&table, &path), "a/api /api/v1");
}

#[test]
fn the_only_context_leaves_other_paths_to_its_api() {
    let only = table(&["a"], Root::Only);
    for (target, to) in [
        ("/clusters/a/api", "a /api"),
        ("/clusters", "list"),
        // As kcp serves its workspaces.
        ("/clusters/root:org/api", "root"),
        ("/clusters/a%2Fapi", "root"),
        ("/clusters//a/api", "root"),
        ("/clusters/a/../api", "root"),
        ("/%63lusters/a/", "root"),
        ("/api", "root"),
    ] {
        assert_eq!(read(&only, target), to, "{target}");
    }
    let none = table(&[], Root::Only);
    assert_eq!(read(&none, "/clusters"), "root");
}

#[test]
fn an_error_lists_a_bounded_number_of_addresses() {
    let names: Vec<String> = (0..25).map(|n| format!("c{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let text = table(&names, Root::Nothing).addresses();
    assert!(text.starts_with("/clusters/c00/, /clusters/c01/"), "{text}");
    assert!(
        text.ends_with("/clusters/c19/, and 5 more that /clusters lists"),
        "{text}"
    );
}
