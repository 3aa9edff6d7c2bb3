//! What the token controller does: a Secret of type `kubernetes.io/service-account-token` gets
//! a token of the service account that its annotation names.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::write::Writer;
use crate::demo::kubernetes::{
    encoding::status::{Cause, Status},
    objects::{
        metadata::{as_map, child_mut},
        resources,
        store::Key,
    },
};

const TYPE: &str = "kubernetes.io/service-account-token";
const ANNOTATION: &str = "kubernetes.io/service-account.name";

/// Fills in the token of a new Secret, if it is one that wants it and brings none.
pub(crate) fn fill(writer: &Writer<'_>, object: &mut Value) -> Result<(), Status> {
    if writer.target.resource.plural != "secrets" || object["type"] != TYPE {
        return Ok(());
    }
    let Some(account) = object["metadata"]["annotations"][ANNOTATION].as_str() else {
        let field = format!("metadata.annotations[{ANNOTATION}]");
        let cause = Cause::required(&field, "");
        return Err(Status::invalid("Secret", "", "", vec![cause]));
    };
    let namespace = writer.target.namespace();
    let accounts = resources::find("", "v1", "serviceaccounts");
    let known = accounts.is_some_and(|accounts| {
        let key = Key::new(accounts, namespace, account);
        writer.store().get(&key).is_some()
    });
    let tokens = writer.context.plane.authentication.tokens();
    let token = known.then(|| tokens.issue_lasting(namespace, account));
    let data = child_mut(as_map(object), "data");
    if let Some(token) = token {
        data.entry("token")
            .or_insert_with(|| json!(STANDARD.encode(token.expose())));
    }
    data.insert("namespace".to_owned(), json!(STANDARD.encode(namespace)));
    Ok(())
}
