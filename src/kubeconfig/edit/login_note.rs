//! Writes the note in which a login records what it wrote and what was there before, and who logged in.
//! It is an extension of the login's context, which kubectl keeps and ignores.

use serde_json::{Map, Value, json};

use super::{
    contents::Contents,
    meaning::digest,
    new_context::NewContext,
    note::{
        CONTEXT_FIELDS, NOTE, Note, NotedCluster, NotedCurrent, NotedField, NotedLogin, find_file,
        named_file,
    },
    plan::Plan,
};

/// What a login finds before it writes.
pub(super) struct Before {
    /// The entry of its cluster.
    pub(super) cluster: Option<Value>,
    /// The file whose current context it sets.
    pub(super) current_in: Option<usize>,
}

/// Returns the extensions of a planned context, whose new fields are `fields`: those of the context that
/// it replaces, and the note. The cluster is written already, the user not yet. What an earlier login of
/// the context noted stays, except for what others have changed since.
pub(super) fn extensions(
    contents: &Contents<'_>,
    plan: &Plan,
    new: &NewContext,
    fields: &Map<String, Value>,
    before: &Before,
) -> Value {
    let old = contents.find_in(plan.context.file, "context", &plan.context.name);
    let noted = old.and_then(Note::of);
    let mut note = noted.unwrap_or_else(|| Note::first(old.is_none()));
    if let Some(old) = old.filter(|_| !note.is_made()) {
        note_context(&mut note, contents, old, fields);
    }
    note_users(&mut note, contents, plan, new);
    note_cluster(&mut note, contents, plan, before.cluster.as_ref());
    if let Some(file) = before.current_in {
        note_current(&mut note, contents, plan, file);
    }
    note.login = Some(NotedLogin {
        user: plan.user.name.clone(),
        username: new.username.clone(),
    });
    let mut extensions = match old.map(|old| &old["extensions"]) {
        Some(Value::Array(extensions)) => extensions.clone(),
        _ => Vec::new(),
    };
    let extension = json!({"name": NOTE, "extension": note});
    match extensions.iter_mut().find(|one| one["name"] == NOTE) {
        Some(earlier) => *earlier = extension,
        None => extensions.push(extension),
    }
    Value::Array(extensions)
}

/// Notes the fields of a context that is older than its first login.
fn note_context(
    note: &mut Note,
    contents: &Contents<'_>,
    old: &Value,
    fields: &Map<String, Value>,
) {
    for field in CONTEXT_FIELDS {
        let before = &old[field];
        let written = fields.get(field).unwrap_or(before).clone();
        match note.context.get_mut(field) {
            Some(noted) if noted.is_as_written(contents, field, before) => noted.written = written,
            _ if *before == written => {
                note.context.remove(field);
            }
            _ => {
                let before = before.clone();
                let noted = NotedField { before, written };
                note.context.insert(field.to_owned(), noted);
            }
        }
    }
}

/// Notes that the user's entry is older than the login, or that an earlier login of the context had
/// another.
fn note_users(note: &mut Note, contents: &Contents<'_>, plan: &Plan, new: &NewContext) {
    let name = &plan.user.name;
    let is_login = |name: &str| {
        let found = contents.find("user", name);
        let exec = found.and_then(|found| contents.exec(name, found));
        exec.is_some_and(|exec| (new.identity.is_login)(&exec))
    };
    let mut notes = contents.contexts().filter_map(|one| Note::of(one.body));
    let is_older = plan.user.exists
        && (!is_login(name) || notes.any(|other| other.existing_users.contains(name)));
    if is_older {
        note.existing_users.insert(name.clone());
    } else {
        note.existing_users.remove(name);
    }
    let former = note.login.take().map(|login| login.user);
    if let Some(former) = former.filter(|former| former != name && is_login(former)) {
        note.former_users.insert(former);
    }
}

/// Notes the cluster that the login added, or the former fields of the one that it changed, which was
/// `before`. What is noted of the entry, here or in another context, stays if it is as it was written
/// then.
fn note_cluster(note: &mut Note, contents: &Contents<'_>, plan: &Plan, before: Option<&Value>) {
    let place = &plan.cluster;
    let written = contents.find_in(place.file, "cluster", &place.name);
    let mut noted = NotedCluster {
        file: named_file(contents, plan.context.file, place.file),
        made: before.is_none(),
        before: Map::new(),
        written: written.map(digest).unwrap_or_default(),
    };
    if let Some(before) = before {
        if let Some(earlier) = noted_earlier(contents, plan, &digest(before)) {
            (noted.made, noted.before) = (earlier.made, earlier.before);
        }
        let keys = plan.cluster_fields.iter().flat_map(|field| field.keys());
        for key in keys.filter(|_| !noted.made) {
            let former = || before[*key].clone();
            noted.before.entry(*key).or_insert_with(former);
        }
    }
    if noted.made || !noted.before.is_empty() {
        note.clusters.insert(place.name.clone(), noted);
    } else {
        note.clusters.remove(&place.name);
    }
}

/// What the notes of all contexts say about the planned cluster, if it was written as it is now.
fn noted_earlier(contents: &Contents<'_>, plan: &Plan, now: &str) -> Option<NotedCluster> {
    let place = &plan.cluster;
    contents.contexts().find_map(|context| {
        let noted = Note::of(context.body)?.clusters.remove(&place.name)?;
        let file = find_file(contents, context.file, noted.file.as_ref());
        (file == Some(place.file) && noted.written == now).then_some(noted)
    })
}

/// Notes the current context of a file, unless it is the login's already.
fn note_current(note: &mut Note, contents: &Contents<'_>, plan: &Plan, file: usize) {
    let config = contents.config(file);
    let before = config.and_then(|config| config.get("current-context"));
    let before = before.cloned().unwrap_or_default();
    if before != *plan.context.name {
        let file = named_file(contents, plan.context.file, file);
        note.current = Some(NotedCurrent { file, before });
    }
}
