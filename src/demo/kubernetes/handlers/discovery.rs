//! Discovery of groups, versions and resources, in the aggregated and the older form.

use std::sync::Arc;

use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::demo::{
    kubernetes::{
        api_server::ApiServer,
        encoding::{
            response::{self, Format},
            status::Status,
        },
        objects::resources::{GROUPS, RESOURCES, REVIEWS, Resource, Subresource, group_version},
        route::Route,
    },
    server::Body,
};

const AGGREGATED_TYPE: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Responds to `/`, `/api`, `/apis` and the paths of groups and versions.
pub(crate) fn respond(
    server: &Arc<ApiServer>,
    route: &Route,
    format: &Format,
) -> Result<Response<Body>, Status> {
    let catalog = Catalog::of(server);
    let value = match route {
        Route::Index => json!({"paths": catalog.paths()}),
        Route::CoreVersions if format.aggregated => return catalog.aggregated(&[""], format),
        Route::Groups if format.aggregated => return catalog.aggregated(&catalog.groups, format),
        Route::CoreVersions => json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [
                {"clientCIDR": "0.0.0.0/0", "serverAddress": server.address.to_string()},
            ],
        }),
        Route::Groups => json!({
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": catalog.groups.iter().map(|name| group(name)).collect::<Vec<_>>(),
        }),
        Route::Group(name) if catalog.groups.contains(&name.as_str()) => {
            let mut group = group(name);
            group["kind"] = json!("APIGroup");
            group["apiVersion"] = json!("v1");
            group
        }
        Route::Kinds { group, version } if catalog.has(group, version) => json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": group_version(group, version),
            "resources": catalog.kinds(group),
        }),
        _ => return Err(Status::no_such_path()),
    };
    response::json(StatusCode::OK, &value, format)
}

/// The groups and resources of Kubernetes and of the vendor.
struct Catalog {
    /// The groups except for the core group, sorted.
    groups: Vec<&'static str>,
    vendor_resources: &'static [&'static Resource],
}

impl Catalog {
    fn of(server: &ApiServer) -> Self {
        let extension = server.authentication.extension();
        let vendor_resources = extension.map_or(&[][..], |extension| extension.resources());
        let mut groups = GROUPS.to_vec();
        groups.extend(vendor_resources.iter().map(|resource| resource.group));
        groups.sort_unstable();
        groups.dedup();
        Self {
            groups,
            vendor_resources,
        }
    }

    /// Whether there is this version of a group.
    fn has(&self, group: &str, version: &str) -> bool {
        version == "v1" && (group.is_empty() || self.groups.contains(&group))
    }

    /// The resources of a group.
    fn resources_of<'a>(
        &self,
        group: &'a str,
    ) -> impl Iterator<Item = &'static Resource> + use<'a> {
        let all = RESOURCES
            .iter()
            .chain(self.vendor_resources.iter().copied());
        all.filter(move |resource| resource.group == group)
    }

    fn paths(&self) -> Vec<String> {
        let mut paths: Vec<String> = ["/api", "/api/v1", "/apis"].map(str::to_owned).into();
        for group in &self.groups {
            paths.push(format!("/apis/{group}"));
            paths.push(format!("/apis/{group}/v1"));
        }
        let rest = [
            "/healthz",
            "/livez",
            "/openapi/v2",
            "/openapi/v3",
            "/readyz",
            "/version",
        ];
        paths.extend(rest.map(str::to_owned));
        paths
    }

    /// The `APIResource`s of a group: each resource with its subresources, and reviews.
    fn kinds(&self, group: &str) -> Vec<Value> {
        let mut kinds = Vec::new();
        for resource in self.resources_of(group) {
            let mut kind = json!({
                "name": resource.plural,
                "singularName": resource.singular,
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": resource.verbs,
            });
            add_names(&mut kind, resource);
            kinds.push(kind);
            kinds.extend(resource.subresources.iter().map(|sub| {
                let mut kind = json!({
                    "name": format!("{}/{}", resource.plural, sub.name),
                    "singularName": "",
                    "namespaced": resource.namespaced,
                    "kind": sub.kind.2,
                    "verbs": sub.verbs,
                });
                if (sub.kind.0, sub.kind.1) != (resource.group, resource.version) {
                    kind["group"] = json!(sub.kind.0);
                    kind["version"] = json!(sub.kind.1);
                }
                kind
            }));
        }
        kinds.extend(
            REVIEWS
                .iter()
                .filter(|review| review.group == group)
                .map(|review| {
                    json!({
                        "name": review.plural,
                        "singularName": review.kind.to_lowercase(),
                        "namespaced": false,
                        "kind": review.kind,
                        "verbs": ["create"],
                    })
                }),
        );
        kinds
    }

    /// `APIGroupDiscoveryList`: groups with all their resources in one response.
    fn aggregated(&self, groups: &[&str], format: &Format) -> Result<Response<Body>, Status> {
        let items: Vec<Value> = groups.iter().map(|group| {
            let mut item = json!({
                "metadata": {},
                "versions": [{"version": "v1", "resources": self.discovered(group), "freshness": "Current"}],
            });
            if !group.is_empty() {
                item["metadata"]["name"] = json!(group);
            }
            item
        }).collect();
        let list = json!({
            "kind": "APIGroupDiscoveryList",
            "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {},
            "items": items,
        });
        let mut response = response::json(StatusCode::OK, &list, format)?;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(AGGREGATED_TYPE),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
        headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        Ok(response)
    }

    fn discovered(&self, group: &str) -> Vec<Value> {
        let stored = self.resources_of(group).map(|resource| {
            let mut item = json!({
                "resource": resource.plural,
                "responseKind": kind((resource.group, resource.version, resource.kind)),
                "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
                "singularResource": resource.singular,
                "verbs": resource.verbs,
            });
            add_names(&mut item, resource);
            if !resource.subresources.is_empty() {
                let subresources = resource.subresources.iter().map(subresource);
                item["subresources"] = subresources.collect();
            }
            item
        });
        let reviews = REVIEWS.iter().filter(|review| review.group == group);
        let reviews = reviews.map(|review| {
            json!({
                "resource": review.plural,
                "responseKind": kind((review.group, "v1", review.kind)),
                "scope": "Cluster",
                "singularResource": review.kind.to_lowercase(),
                "verbs": ["create"],
            })
        });
        stored.chain(reviews).collect()
    }
}

fn group(name: &str) -> Value {
    let version = json!({"groupVersion": group_version(name, "v1"), "version": "v1"});
    json!({"name": name, "versions": [version], "preferredVersion": version})
}

fn add_names(kind: &mut Value, resource: &Resource) {
    if !resource.short_names.is_empty() {
        kind["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        kind["categories"] = json!(resource.categories);
    }
}

fn subresource(sub: &Subresource) -> Value {
    json!({"subresource": sub.name, "responseKind": kind(sub.kind), "verbs": sub.verbs})
}

fn kind((group, version, kind): (&str, &str, &str)) -> Value {
    json!({"group": group, "version": version, "kind": kind})
}
