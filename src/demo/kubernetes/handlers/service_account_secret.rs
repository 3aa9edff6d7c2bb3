//! Secrets of type `kubernetes.io/service-account-token`, to which the token controller adds a
//! token of the service account that an annotation names.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::demo::kubernetes::{
    api_server::ApiServer,
    encoding::status::{Cause, Status},
    objects::{
        metadata::{as_map, child_mut},
        resources,
        store::Key,
    },
    route::Target,
};

const TYPE: &str = "kubernetes.io/service-account-token";
const ANNOTATION: &str = "kubernetes.io/service-account.name";

/// Adds the token to a new Secret of that type, unless it has one.
pub(crate) fn add_token(
    server: &ApiServer,
    target: &Target,
    object: &mut Value,
) -> Result<(), Status> {
    if target.resource.plural != "secrets" || object["type"] != TYPE {
        return Ok(());
    }
    let Some(account) = object["metadata"]["annotations"][ANNOTATION].as_str() else {
        let field = format!("metadata.annotations[{ANNOTATION}]");
        let cause = Cause::required(&field, "");
        return Err(Status::invalid("Secret", "", "", vec![cause]));
    };
    let namespace = target.namespace();
    let accounts = resources::find("", "v1", "serviceaccounts");
    let exists = accounts.is_some_and(|accounts| {
        let key = Key::new(accounts, namespace, account);
        server.store.get(&key).is_some()
    });
    let tokens = server.authentication.tokens();
    let token = exists.then(|| tokens.issue_unexpiring(namespace, account));
    let data = child_mut(as_map(object), "data");
    if let Some(token) = token {
        data.entry("token")
            .or_insert_with(|| json!(STANDARD.encode(token.expose())));
    }
    data.insert("namespace".to_owned(), json!(STANDARD.encode(namespace)));
    Ok(())
}
