#![allow(clippy::unwrap_used)]
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use super::*;
use crate::kubeconfig::edit::{ChosenNames, ExecEntry, LoginIdentity, NewCluster};

const SERVER: &str = "https://api.example:6443";

/// A file with the contexts `(name, cluster, user)` of clusters at [`SERVER`] and of users whose plugin
/// is kubegate.
fn file(contexts: &[(&str, &str, &str)]) -> String {
    let mut text = String::from("clusters:\n");
    let mut clusters: Vec<_> = contexts.iter().map(|(_, cluster, _)| *cluster).collect();
    clusters.dedup();
    for cluster in clusters {
        let _ = writeln!(
            text,
            "- {{name: '{cluster}', cluster: {{server: '{SERVER}'}}}}"
        );
    }
    text.push_str("contexts:\n");
    for (name, cluster, user) in contexts {
        let _ = writeln!(
            text,
            "- {{name: '{name}', context: {{cluster: '{cluster}', user: '{user}'}}}}"
        );
    }
    let mut users: Vec<_> = contexts.iter().map(|(_, _, user)| *user).collect();
    users.dedup();
    text.push_str("users:\n");
    for user in users {
        let _ = writeln!(
            text,
            "- {{name: '{user}', user: {{exec: {{command: kubegate, args: [client], interactiveMode: \
             Never, apiVersion: client.authentication.k8s.io/v1}}}}}}"
        );
    }
    text
}

/// A login of jane by a client, whose name is the plugin's only argument.
fn new(chosen: [Option<&str>; 3], server: &str, client: &'static str) -> NewContext {
    let [context, cluster, user] = chosen.map(|name| name.map(str::to_owned));
    NewContext {
        chosen: ChosenNames {
            context,
            cluster,
            user,
        },
        naming: Naming::Oc {
            namespace: "default".to_owned(),
        },
        username: "jane".to_owned(),
        namespace: None,
        default_namespace: None,
        cluster: NewCluster {
            server: server.to_owned(),
            ..NewCluster::default()
        },
        exec: ExecEntry::default(),
        identity: LoginIdentity {
            is_same: Box::new(move |exec| exec.args == [client]),
            has_same_flags: Box::new(|_| true),
            is_login: Box::new(|exec| exec.command == Path::new("kubegate")),
            is_session: false,
        },
    }
}

/// The names of context, cluster and user, and the file of each.
fn planned(texts: &[&str], new: &NewContext) -> Result<[(String, usize); 3], Error> {
    let paths: Vec<PathBuf> = (0..texts.len()).map(|n| format!("{n}").into()).collect();
    let contents = Contents::parse(&paths, texts)?;
    let plan = plan(&contents, 0, new)?;
    Ok([plan.context, plan.cluster, plan.user].map(|place| (place.name, place.file)))
}

fn names(texts: &[&str], new: &NewContext) -> [String; 3] {
    planned(texts, new).unwrap().map(|(name, _)| name)
}

#[test]
fn derived_names_are_those_of_oc_and_of_the_same_login() {
    let derived = [
        "default/api-example:6443/jane",
        "api-example:6443",
        "jane/api-example:6443",
    ];
    let login = new([None; 3], SERVER, "client");
    assert_eq!(names(&[""], &login), derived);
    let existing = file(&[(derived[0], derived[1], derived[2])]);
    assert_eq!(names(&[&existing], &login), derived);
    // The user entry may have another name.
    let named = file(&[(derived[0], derived[1], "me")]);
    assert_eq!(names(&[&named], &login), [derived[0], derived[1], "me"]);
}

#[test]
fn a_login_that_means_something_else_gets_numbers() {
    let derived = (
        "default/api-example:6443/jane",
        "api-example:6443",
        "jane/api-example:6443",
    );
    let existing = file(&[derived]);
    let other_client = new([None; 3], SERVER, "other");
    assert_eq!(
        names(&[&existing], &other_client),
        [
            "default/api-example:6443/jane/2",
            "api-example:6443",
            "jane/api-example:6443/2"
        ]
    );
    let mut other_ca = new([None; 3], SERVER, "client");
    other_ca.cluster.certificate_authority = Some(b"pem".to_vec());
    assert_eq!(
        names(&[&existing], &other_ca),
        [
            "default/api-example:6443-2/jane",
            "api-example:6443-2",
            "jane/api-example:6443-2"
        ]
    );
}

#[test]
fn an_entry_changes_only_for_the_context_that_alone_uses_it() {
    let mut new = new([Some("a"), None, None], SERVER, "client");
    new.cluster.certificate_authority = Some(b"pem".to_vec());
    let alone = file(&[("a", "c", "u")]);
    assert_eq!(names(&[&alone], &new), ["a", "c", "u"]);
    let shared = file(&[("a", "c", "u"), ("b", "c", "u")]);
    assert_eq!(names(&[&shared], &new), ["a", "api-example:6443", "u"]);
    // A file that a context is hidden in may be used alone.
    let hidden = "contexts: [{name: a, context: {cluster: c, user: u}}]";
    assert_eq!(
        names(&[&alone, hidden], &new),
        ["a", "api-example:6443", "u"]
    );
    // The name of an entry says its server.
    new.cluster = NewCluster {
        server: "https://new.example".to_owned(),
        ..NewCluster::default()
    };
    assert_eq!(names(&[&alone], &new), ["a", "new-example:443", "u"]);
}

#[test]
fn a_chosen_name_in_use_is_refused() {
    let shared = file(&[("a", "c", "u"), ("b", "c", "u")]);
    for (chosen, server, client, refused) in [
        (
            [Some("a"), Some("c"), None],
            "https://x",
            "client",
            Some("cluster"),
        ),
        ([Some("a"), None, Some("u")], SERVER, "other", Some("user")),
        ([Some("n"), Some("c"), Some("u")], SERVER, "client", None),
        (
            [Some("n"), Some("new"), Some("new")],
            "https://x",
            "other",
            None,
        ),
    ] {
        let error = planned(&[&shared], &new(chosen, server, client)).err();
        let error = error.map(|error| error.to_string());
        assert_eq!(error.is_some(), refused.is_some(), "{chosen:?}: {error:?}");
        for part in refused
            .into_iter()
            .flat_map(|kind| [kind.to_owned(), format!("--{kind}")])
        {
            assert!(error.as_ref().unwrap().contains(&part), "{error:?}");
        }
    }
    // Of the context that alone uses it, an entry of a chosen name is changed.
    let alone = file(&[("a", "c", "u")]);
    let chosen = [Some("a"), Some("c"), Some("u")];
    assert_eq!(
        names(&[&alone], &new(chosen, "https://x", "other")),
        ["a", "c", "u"]
    );
}

#[test]
fn another_user_of_the_same_client_gets_an_entry() {
    let existing = file(&[("a", "c", "jane/c")]);
    let mut bob = new([Some("a"), None, None], SERVER, "client");
    "bob".clone_into(&mut bob.username);
    assert_eq!(names(&[&existing], &bob), ["a", "c", "bob/c"]);
    // Of an entry with another name, the note of the login says whose it is.
    let noted = |user: &str| {
        file(&[("a", "c", "me")]).replace(
            "user: 'me'}",
            &format!(
                "user: 'me', extensions: [{{name: kubegate, extension: {{login: {{user: me, username: \
                 {user}}}}}}}]}}"
            ),
        )
    };
    assert_eq!(names(&[&noted("jane")], &bob), ["a", "c", "bob/c"]);
    assert_eq!(names(&[&noted("bob")], &bob), ["a", "c", "me"]);
}

/// The contexts of [`file`], with the note of a login of `username` by the entry `noted` in each.
fn noted(contexts: &[(&str, &str, &str)], notes: &[(&str, &str)]) -> String {
    let mut text = file(contexts);
    for ((name, cluster, user), (noted, username)) in contexts.iter().zip(notes) {
        let context = format!("'{name}', context: {{cluster: '{cluster}', user: '{user}'");
        let login = format!("{{login: {{user: '{noted}', username: {username}}}}}");
        let note = format!("{context}, extensions: [{{name: kubegate, extension: {login}}}]");
        assert!(text.contains(&context), "{text}");
        text = text.replace(&context, &note);
    }
    text
}

#[test]
fn a_note_says_who_logged_in_by_the_entry_that_it_names() {
    let login = |context| new([Some(context), None, None], SERVER, "client");
    // `mine` was jane's, and got bob's entry by hand.
    let contexts = [("mine", "c", "u"), ("his", "c", "u"), ("rest", "c", "j")];
    let moved = noted(&contexts, &[("j", "jane"), ("u", "bob"), ("j", "jane")]);
    assert_eq!(names(&[&moved], &login("mine")), ["mine", "c", "jane/c"]);
    let mut bob = login("mine");
    "bob".clone_into(&mut bob.username);
    assert_eq!(names(&[&moved], &bob), ["mine", "c", "u"]);
    // Nobody else says whose it is, since bob's context is gone: the note is of another entry.
    let contexts = [("mine", "c", "bob/c"), ("rest", "c", "j")];
    let moved = noted(&contexts, &[("j", "jane"), ("j", "jane")]);
    assert_eq!(names(&[&moved], &login("mine")), ["mine", "c", "jane/c"]);
    // Notes that disagree.
    let contexts = [("mine", "c", "u"), ("his", "c", "u")];
    let both = noted(&contexts, &[("u", "jane"), ("u", "bob")]);
    assert_eq!(names(&[&both], &login("mine")), ["mine", "c", "jane/c"]);
    // The controls: notes that agree, and an entry that was renamed.
    let both = noted(&contexts, &[("u", "jane"), ("u", "jane")]);
    assert_eq!(names(&[&both], &login("mine")), ["mine", "c", "u"]);
    let renamed = noted(&contexts[..1], &[("gone", "jane")]);
    assert_eq!(names(&[&renamed], &login("mine")), ["mine", "c", "u"]);
    let renamed = noted(&contexts[..1], &[("gone", "bob")]);
    assert_eq!(names(&[&renamed], &login("mine")), ["mine", "c", "jane/c"]);
}

#[test]
fn an_entry_that_others_use_keeps_its_grant() {
    let differs = |chosen| {
        let mut new = new(chosen, SERVER, "client");
        new.identity.has_same_flags = Box::new(|_| false);
        new
    };
    let one = file(&[("a", "c", "u")]);
    let new_one = differs([Some("b"), Some("c"), None]);
    assert_eq!(names(&[&one], &new_one), ["b", "c", "jane/c"]);
    let refused = planned(&[&one], &differs([Some("b"), None, Some("u")]));
    assert!(matches!(refused, Err(Error::InUse { .. })));
    // Of the context that alone uses it, it may change.
    let own = differs([Some("a"), None, None]);
    assert_eq!(names(&[&one], &own), ["a", "c", "u"]);
    let shared = file(&[("a", "c", "u"), ("b", "c", "u")]);
    assert_eq!(names(&[&shared], &own), ["a", "c", "jane/c"]);
}

#[test]
fn entries_are_in_the_file_that_has_them_or_beside_the_context() {
    let second = file(&[("a", "c", "u")]);
    let in_second = |names: [&str; 3]| names.map(|name| (name.to_owned(), 1));
    let renewal = new([Some("a"), None, None], SERVER, "client");
    assert_eq!(
        planned(&["", &second], &renewal).unwrap(),
        in_second(["a", "c", "u"])
    );
    let other = new([Some("a"), None, None], SERVER, "other");
    assert_eq!(
        planned(&["", &second], &other).unwrap(),
        in_second(["a", "c", "jane/c"])
    );
    // A new context goes to the main file, and what is there comes first.
    let added = new([Some("n"), Some("c"), None], SERVER, "client");
    let expected = [("n", 0), ("c", 1), ("jane/c", 0)];
    let expected = expected.map(|(name, file)| (name.to_owned(), file));
    assert_eq!(planned(&["", &second], &added).unwrap(), expected);
    let first = "clusters: [{name: c, cluster: {server: https://elsewhere}}]";
    let refused = planned(
        &[first, &second],
        &new([None, Some("c"), None], SERVER, "client"),
    );
    assert!(matches!(refused, Err(Error::InUse { .. })));
}

#[test]
fn a_session_is_of_one_server() {
    let existing = file(&[("a", "c", "jane/c")]);
    let mut session = new([Some("b"), None, Some("jane/c")], "https://x", "client");
    session.identity.is_session = true;
    assert!(matches!(
        planned(&[&existing], &session),
        Err(Error::InUse { .. })
    ));
    // The control: an issuer's token is for every server that trusts it.
    session.identity.is_session = false;
    assert_eq!(names(&[&existing], &session)[2], "jane/c");
}

#[test]
fn the_name_of_an_ibm_cluster_is_its_own() {
    let mut new = new([None; 3], SERVER, "client");
    new.naming = Naming::Ibm("prod/id".to_owned());
    assert_eq!(names(&[""], &new), ["prod/id"; 3]);
    let alone = file(&[("prod/id", "prod/id", "prod/id")]);
    "https://private".clone_into(&mut new.cluster.server);
    assert_eq!(names(&[&alone], &new), ["prod/id"; 3]);
    let shared = file(&[
        ("prod/id", "prod/id", "prod/id"),
        ("x", "prod/id", "prod/id"),
    ]);
    assert_eq!(names(&[&shared], &new), ["prod/id", "prod/id-2", "prod/id"]);
}
