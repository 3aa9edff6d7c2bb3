//! Creating, replacing and patching objects.

use http::{HeaderMap, Response, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::demo::{
    kubernetes::{
        api_server::RequestContext,
        encoding::{
            request_object, response,
            status::{Cause, Status},
            view::View,
        },
        handlers::service_account_secret,
        objects::{
            defaults,
            managed_fields::{self, Manager},
            metadata::{as_map, meta, metadata_mut, name_suffix, next_generation},
            patch::Patch,
            resources::{self, Resource},
            server_side_apply,
            store::{Key, Object, Outcome, Store},
            validation,
        },
        route::Target,
    },
    server::Body,
};

/// A write: its target, its request, and the representation of the result.
pub(crate) struct Writer<'a> {
    pub(crate) context: &'a RequestContext<'a>,
    pub(crate) target: &'a Target,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) view: View,
    pub(crate) dry_run: bool,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(
        context: &'a RequestContext<'a>,
        target: &'a Target,
        headers: &'a HeaderMap,
        view: View,
    ) -> Self {
        Self {
            context,
            target,
            headers,
            view,
            dry_run: context.query.get("dryRun") == Some("All"),
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.context.server.store
    }

    pub(crate) fn name(&self) -> &str {
        self.target.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn key(&self) -> Key {
        Key::new(self.target.resource, self.target.namespace(), self.name())
    }

    /// Responds with an object.
    pub(crate) fn respond(
        &self,
        code: StatusCode,
        object: &Value,
    ) -> Result<Response<Body>, Status> {
        let shown = self.view.one(self.target.resource, object);
        response::json(code, &shown, &self.view.format)
    }

    /// The manager of the changed fields: `?fieldManager=`, or the name of the client program.
    pub(crate) fn manager(&self, operation: &'static str) -> Manager {
        let agent = self.headers.get(header::USER_AGENT);
        let agent = agent.and_then(|agent| agent.to_str().ok()?.split('/').next());
        let name = self.context.query.get("fieldManager").or(agent);
        Manager {
            name: name.unwrap_or("unknown").to_owned(),
            operation,
            subresource: self.target.subresource.clone(),
            api_version: self.target.resource.api_version(),
        }
    }

    /// Creates an object (`POST`). Responds with 201 and the stored object.
    pub(crate) fn create(&self, body: &[u8]) -> Result<Response<Body>, Status> {
        let object = request_object::object(self.headers, body)?;
        let is_generated =
            meta(&object, "name").is_empty() && !meta(&object, "generateName").is_empty();
        let object = self.prepare(object, &self.manager("Update"))?;
        let created = loop {
            let mut object = object.clone();
            if is_generated {
                let name = format!("{}{}", meta(&object, "generateName"), name_suffix());
                metadata_mut(&mut object).insert("name".to_owned(), json!(name));
            }
            let name = meta(&object, "name").to_owned();
            match self.insert(&name, object) {
                // The random name exists already: try another one.
                Err(status) if is_generated && status.code == StatusCode::CONFLICT => {}
                inserted => break inserted?,
            }
        };
        self.respond(StatusCode::CREATED, &created)
    }

    /// Replaces an object (`PUT`), unless its resource version is outdated.
    pub(crate) fn replace(&self, body: &[u8]) -> Result<Response<Body>, Status> {
        let next = request_object::object(self.headers, body)?;
        self.check(&next)?;
        let manager = self.manager("Update");
        let replaced = self.update(|current| {
            let next = self.merge(current, next)?;
            Ok(managed_fields::recorded(current, next, &manager))
        })?;
        self.respond(StatusCode::OK, &replaced.value)
    }

    /// Patches an object (`PATCH`). An apply patch creates it if it does not exist.
    pub(crate) fn patch(&self, body: &[u8]) -> Result<Response<Body>, Status> {
        match Patch::parse(request_object::media_type(self.headers), body)? {
            Patch::Apply(wanted) => self.apply(&wanted),
            patch => {
                let manager = self.manager("Update");
                let patched = self.update(|current| {
                    let mut next = current.clone();
                    patch.apply_to(&mut next)?;
                    self.check(&next)?;
                    let next = self.merge(current, next)?;
                    Ok(managed_fields::recorded(current, next, &manager))
                })?;
                self.respond(StatusCode::OK, &patched.value)
            }
        }
    }

    fn apply(&self, wanted: &Value) -> Result<Response<Body>, Status> {
        if self.context.query.get("fieldManager").is_none() {
            let cause = Cause::required("fieldManager", "is required for apply patch");
            return Err(Status::invalid(
                "PatchOptions",
                "meta.k8s.io",
                "",
                vec![cause],
            ));
        }
        if !wanted["metadata"]["managedFields"].is_null() {
            return Err(Status::bad_request("metadata.managedFields must be nil"));
        }
        self.check(wanted)?;
        let manager = self.manager("Apply");
        if self.target.subresource.is_none() && self.store().get(&self.key()).is_none() {
            let mut object = wanted.clone();
            metadata_mut(&mut object).insert("name".to_owned(), json!(self.name()));
            let object = self.prepare(object, &manager)?;
            let created = self.insert(self.name(), object)?;
            return self.respond(StatusCode::CREATED, &created);
        }
        let applied = self.update(|current| {
            let next = server_side_apply::applied(current, wanted, &manager)?;
            let mut next = self.merge(current, next)?;
            let fields = managed_fields::fields_of(wanted);
            let entries =
                managed_fields::record(managed_fields::entries(current), &manager, fields);
            metadata_mut(&mut next).insert("managedFields".to_owned(), entries);
            Ok(next)
        })?;
        self.respond(StatusCode::OK, &applied.value)
    }

    /// Validates a new object and sets its metadata and defaults.
    fn prepare(&self, mut object: Value, manager: &Manager) -> Result<Value, Status> {
        let resource = self.target.resource;
        self.check(&object)?;
        if !meta(&object, "resourceVersion").is_empty() {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(Status::bad_request(message));
        }
        validation::new_object(resource, &object)?;
        if resource.namespaced {
            let namespaces = resources::find("", "v1", "namespaces");
            let namespace = self.target.namespace();
            if let Some(namespaces) = namespaces
                && self
                    .store()
                    .get(&Key::new(namespaces, "", namespace))
                    .is_none()
            {
                return Err(Status::not_found(namespaces, namespace));
            }
        }
        let fields = managed_fields::fields_of(&object);
        defaults::prepare_new(resource, self.target.namespace(), &mut object);
        service_account_secret::add_token(self.context.server, self.target, &mut object)?;
        let entries = managed_fields::record(&[], manager, fields);
        metadata_mut(&mut object).insert("managedFields".to_owned(), entries);
        Ok(object)
    }

    fn insert(&self, name: &str, object: Value) -> Result<Value, Status> {
        let resource = self.target.resource;
        let key = Key::new(resource, self.target.namespace(), name);
        let created = self
            .store()
            .change(&key, self.dry_run, |current| match current {
                Some(_) => Err(Status::already_exists(resource, name)),
                None => Ok(Outcome::Put(object)),
            })?;
        if resource.plural == "namespaces" && !self.dry_run {
            defaults::create_namespace_objects(self.store(), name)?;
        }
        let created = created.ok_or_else(|| Status::not_found(resource, name))?;
        Ok(created.value.clone())
    }

    /// Changes an existing object. If the result is equal to it, nothing is stored.
    pub(crate) fn update(
        &self,
        next: impl FnOnce(&Value) -> Result<Value, Status>,
    ) -> Result<std::sync::Arc<Object>, Status> {
        let not_found = || Status::not_found(self.target.resource, self.name());
        let changed = self.store().change(&self.key(), self.dry_run, |current| {
            let current = current.ok_or_else(not_found)?;
            let next = next(&current.value)?;
            Ok(if managed_fields::is_unchanged(&current.value, &next) {
                Outcome::Unchanged
            } else {
                Outcome::Put(next)
            })
        })?;
        changed.ok_or_else(not_found)
    }

    /// Merges the fields that clients may change, from `next`, with those that only the server may
    /// change, from `current`.
    fn merge(&self, current: &Value, mut next: Value) -> Result<Value, Status> {
        let (resource, name) = (self.target.resource, self.name());
        self.check_version(current, &next)?;
        let uid = meta(&next, "uid");
        if !uid.is_empty() && uid != meta(current, "uid") {
            let reason = format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                meta(current, "uid")
            );
            return Err(Status::conflict(resource, name, &reason));
        }
        if self.target.subresource.as_deref() == Some("status") {
            let status = as_map(&mut next).remove("status");
            next = current.clone();
            as_map(&mut next).insert("status".to_owned(), status.unwrap_or_else(|| json!({})));
            return Ok(next);
        }
        restore_server_fields(resource, current, &mut next);
        validation::object(resource, &next)?;
        if resource.has_generation && next["spec"] != current["spec"] {
            metadata_mut(&mut next).insert("generation".to_owned(), next_generation(current));
        }
        defaults::reconcile(resource, &mut next);
        Ok(next)
    }

    /// Checks that the resource version of an object that the client sent, if it has one, is the
    /// current one.
    pub(crate) fn check_version(&self, current: &Value, object: &Value) -> Result<(), Status> {
        let version = meta(object, "resourceVersion");
        if version.is_empty() || version == meta(current, "resourceVersion") {
            return Ok(());
        }
        let reason = "the object has been modified; please apply your changes to the latest \
                      version and try again";
        Err(Status::conflict(self.target.resource, self.name(), reason))
    }

    /// Checks that kind, name and namespace of an object match those of the URL.
    fn check(&self, object: &Value) -> Result<(), Status> {
        let resource = self.target.resource;
        validation::check_kind(resource, object)?;
        let namespace = meta(object, "namespace");
        if resource.namespaced && !namespace.is_empty() && namespace != self.target.namespace() {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on \
                 the request",
            ));
        }
        let name = meta(object, "name");
        if self.target.name.is_some() && !name.is_empty() && name != self.name() {
            return Err(Status::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                self.name()
            )));
        }
        Ok(())
    }
}

/// Restores in `next` the fields that only the server may change.
fn restore_server_fields(resource: &Resource, current: &Value, next: &mut Value) {
    let restore = |map: &mut Map<String, Value>, current: &Value, field: &str| {
        match &current[field] {
            Value::Null => map.remove(field),
            value => map.insert(field.to_owned(), value.clone()),
        };
    };
    for field in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "generation",
        "resourceVersion",
    ] {
        restore(metadata_mut(next), &current["metadata"], field);
    }
    let map = as_map(next);
    map.insert("kind".to_owned(), json!(resource.kind));
    map.insert("apiVersion".to_owned(), json!(resource.api_version()));
    if resource.has_status() {
        restore(map, current, "status");
    }
}
