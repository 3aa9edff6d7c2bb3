//! Which context, cluster and user are selected.

use super::{TWO_CONTEXTS, error_of, load, some};
use crate::kubeconfig::{Login, Overrides, select::target};

fn selected(flags: &Overrides) -> (String, String, Option<String>) {
    let target = target(&load(TWO_CONTEXTS), flags).unwrap();
    let Login::Token(token) = target.user.login else {
        panic!("no token");
    };
    (
        target.cluster.server.to_string(),
        token.expose().to_owned(),
        target.namespace,
    )
}

#[test]
fn flags_pick_context_cluster_user_and_namespace() {
    let row = |server: &str, token: &str, namespace| {
        (server.to_owned(), token.to_owned(), some(namespace))
    };
    let none = Overrides::default;
    assert_eq!(selected(&none()), row("https://c/", "tu", "nx"));
    let context = Overrides {
        context: some("y"),
        ..none()
    };
    assert_eq!(selected(&context), row("https://d/", "tv", "ny"));
    let cluster = Overrides {
        cluster: some("d"),
        ..none()
    };
    assert_eq!(selected(&cluster), row("https://d/", "tu", "nx"));
    let user = Overrides {
        user: some("v"),
        ..none()
    };
    assert_eq!(selected(&user), row("https://c/", "tv", "nx"));
    let namespace = Overrides {
        namespace: some("z"),
        ..none()
    };
    assert_eq!(selected(&namespace), row("https://c/", "tu", "z"));
}

#[test]
fn a_name_without_an_entry_is_an_error_listing_the_entries() {
    let config = load(TWO_CONTEXTS);
    for (flags, expected) in [
        (
            Overrides {
                context: some("z"),
                ..Overrides::default()
            },
            "context \"z\", named by --context, does not exist in",
        ),
        (
            Overrides {
                cluster: some("z"),
                ..Overrides::default()
            },
            "the clusters \"c\", \"d\"",
        ),
        (
            Overrides {
                user: some("z"),
                ..Overrides::default()
            },
            "the users \"u\", \"v\"",
        ),
    ] {
        let error = error_of(&config, &flags);
        assert!(
            error.contains(expected) && error.contains("/config"),
            "{error}"
        );
    }
    for (from, to, expected) in [
        (
            "current-context: x",
            "current-context: gone",
            "\"gone\", named by current-context",
        ),
        (
            "cluster: c, user: u",
            "cluster: gone, user: u",
            "cluster \"gone\", named by context \"x\"",
        ),
        (
            "cluster: c, user: u",
            "cluster: c, user: gone",
            "user \"gone\", named by context \"x\"",
        ),
        (
            "cluster: c, user: u",
            "user: u",
            "context \"x\": cluster is missing",
        ),
        (
            "server: 'https://c'",
            "",
            "cluster \"c\": server is missing",
        ),
    ] {
        let error = error_of(
            &load(&TWO_CONTEXTS.replace(from, to)),
            &Overrides::default(),
        );
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn of_many_names_ten_are_shown() {
    let contexts: Vec<_> = (10..40).map(|n| format!("{{name: n{n}}}")).collect();
    let config = load(&format!("contexts: [{}]", contexts.join(", ")));
    let shown = target(&config, &Overrides::default())
        .unwrap_err()
        .to_string();
    assert!(
        shown.contains("\"n19\" and 20 more") && !shown.contains("n20"),
        "{shown}"
    );
}
