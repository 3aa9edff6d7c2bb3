#![allow(clippy::unwrap_used, clippy::unnecessary_wraps)]

mod errors;
mod fields;
mod flags;
mod names;

use std::fs;

use super::target;
use crate::{
    kubeconfig::{Login, Overrides, Target, load, load::Kubeconfig},
    secret::Secret,
};

fn load(text: &str) -> Kubeconfig {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    fs::write(&path, text).unwrap();
    load::load(Some(&path), &|_| None).unwrap()
}

/// A file with one context, whose cluster has these fields and a server, and whose user has these fields.
fn one_context(cluster: &str, user: &str) -> Kubeconfig {
    load(&format!(
        "current-context: x\n\
         contexts: [{{name: x, context: {{cluster: c, user: u, namespace: team}}}}]\n\
         clusters: [{{name: c, cluster: {{server: 'https://api:6443', {cluster}}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\n"
    ))
}

fn default_target(config: &Kubeconfig) -> Target {
    target(config, &Overrides::default()).unwrap()
}

fn login(user: &str, flags: &Overrides) -> Login {
    target(&one_context("", user), flags).unwrap().user.login
}

fn error_of(config: &Kubeconfig, flags: &Overrides) -> String {
    let error = target(config, flags).unwrap_err();
    format!("{error} {error:?}")
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn secret(text: &str) -> Option<Secret> {
    Some(Secret::new(text))
}

const TWO_CONTEXTS: &str = "\
current-context: x
contexts:
- {name: x, context: {cluster: c, user: u, namespace: nx}}
- {name: y, context: {cluster: d, user: v, namespace: ny}}
clusters:
- {name: c, cluster: {server: 'https://c'}}
- {name: d, cluster: {server: 'https://d'}}
users:
- {name: u, user: {token: tu}}
- {name: v, user: {token: tv}}
";
