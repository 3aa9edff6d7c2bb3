//! Writes the planned entries of a login into the parsed files.

use serde_json::{Map, Value, json};

use super::{
    contents::{Config, Contents},
    forget::USER,
    login_note::{self, Before},
    new_context::NewContext,
    plan::{Place, Plan},
};

/// Changes the contents as planned.
pub(super) fn apply(
    contents: &mut Contents<'_>,
    plan: &Plan,
    main: usize,
    new: &NewContext,
    make_current: bool,
) {
    let cluster = contents.find_in(plan.cluster.file, "cluster", &plan.cluster.name);
    let before = Before {
        cluster: cluster.cloned(),
        current_in: make_current.then_some(main),
    };
    put_cluster(contents, plan, new);
    let context = context_fields(contents, plan, new, &before);
    let empty = Map::new();
    let config = contents.config(plan.user.file).unwrap_or(&empty);
    let user = new.user_fields(config, &plan.user.name);
    put(contents, "user", &plan.user, user, &USER);
    let owned: Vec<String> = context.keys().cloned().collect();
    let owned: Vec<&str> = owned.iter().map(String::as_str).collect();
    put(contents, "context", &plan.context, context, &owned);
    if make_current && let Some(config) = begun(contents, main) {
        config.insert("current-context".to_owned(), json!(plan.context.name));
    }
}

/// Writes the fields of the cluster that are not yet as the login needs them.
fn put_cluster(contents: &mut Contents<'_>, plan: &Plan, new: &NewContext) {
    let fields = plan.cluster_fields.iter();
    let owned: Vec<&str> = fields
        .flat_map(|field| field.keys().iter().copied())
        .collect();
    if plan.cluster.exists && owned.is_empty() {
        return;
    }
    let mut cluster = new.cluster.fields();
    cluster.retain(|key, _| owned.contains(&key.as_str()));
    put(contents, "cluster", &plan.cluster, cluster, &owned);
}

/// The fields of the context, with its note.
fn context_fields(
    contents: &Contents<'_>,
    plan: &Plan,
    new: &NewContext,
    before: &Before,
) -> Map<String, Value> {
    let mut context = Map::new();
    context.insert("cluster".to_owned(), json!(plan.cluster.name));
    context.insert("user".to_owned(), json!(plan.user.name));
    let old = contents.find_in(plan.context.file, "context", &plan.context.name);
    let has_namespace =
        old.is_some_and(|old| old["namespace"].as_str().is_some_and(|n| !n.is_empty()));
    let default = new.default_namespace.as_ref().filter(|_| !has_namespace);
    if let Some(namespace) = new.namespace.as_ref().or(default) {
        context.insert("namespace".to_owned(), json!(namespace));
    }
    let extensions = login_note::extensions(contents, plan, new, &context, before);
    context.insert("extensions".to_owned(), extensions);
    context
}

/// The content of a file, with the head of a kubeconfig if it is empty.
fn begun<'a>(contents: &'a mut Contents<'_>, file: usize) -> Option<&'a mut Config> {
    let config = contents.config_mut(file)?;
    if config.is_empty() {
        config.insert("apiVersion".to_owned(), json!("v1"));
        config.insert("kind".to_owned(), json!("Config"));
    }
    Some(config)
}

/// Adds an entry to the list of its kind. In an existing entry of the same name, the fields in
/// `owned` are replaced and all others stay.
fn put(
    contents: &mut Contents<'_>,
    kind: &str,
    place: &Place,
    fields: Map<String, Value>,
    owned: &[&str],
) {
    let Some(config) = begun(contents, place.file) else {
        return;
    };
    let section = config.entry(format!("{kind}s")).or_insert(Value::Null);
    if section.is_null() {
        *section = json!([]);
    }
    let Value::Array(items) = section else {
        return;
    };
    let Some(item) = items.iter_mut().find(|item| item["name"] == *place.name) else {
        items.push(json!({"name": place.name, kind: fields}));
        return;
    };
    let mut body = match item[kind].take() {
        Value::Object(body) => body,
        _ => Map::new(),
    };
    body.retain(|field, _| !owned.contains(&field.as_str()));
    body.extend(fields);
    item[kind] = Value::Object(body);
}
