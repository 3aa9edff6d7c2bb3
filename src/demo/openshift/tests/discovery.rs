//! What the API server says of its groups and of its OAuth server.

use super::*;

#[tokio::test]
async fn discovery_lists_the_groups_of_openshift() {
    let cluster = start().await;
    let token = implicit(&cluster, "").await;
    let (_, groups) = api(&cluster, Method::GET, "/apis", &token).await;
    let groups = groups["groups"].as_array().unwrap().iter();
    let groups: Vec<_> = groups
        .map(|group| group["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        groups,
        [
            "apps",
            "authentication.k8s.io",
            "authorization.k8s.io",
            "oauth.openshift.io",
            "project.openshift.io",
            "rbac.authorization.k8s.io",
            "user.openshift.io"
        ]
    );
    let (_, kinds) = api(
        &cluster,
        Method::GET,
        "/apis/project.openshift.io/v1",
        &token,
    )
    .await;
    assert_eq!(kinds["resources"][0]["kind"], "Project");
    assert_eq!(kinds["resources"][0]["verbs"], json!(["get", "list"]));
}

#[tokio::test]
async fn oauth_metadata_needs_no_token_but_no_invalid_one() {
    let cluster = start().await;
    let url = format!(
        "{}/.well-known/oauth-authorization-server",
        cluster.api().url()
    );
    let find = async |headers: &[(&str, &str)]| {
        send(cluster.api().ca_pem(), Method::GET, &url, headers, "").await
    };
    let response = find(&[]).await;
    assert_eq!(value(&response, "content-type"), "application/json");
    let issuer = cluster.oauth_url();
    assert_eq!(
        text(&response),
        format!(
            "{{\"issuer\":\"{issuer}\",\"authorization_endpoint\":\"{issuer}/oauth/authorize\",\
             \"token_endpoint\":\"{issuer}/oauth/token\",\"scopes_supported\":[\
             \"user:check-access\",\"user:full\",\"user:info\",\"user:list-projects\",\
             \"user:list-scoped-projects\"],\"response_types_supported\":[\"code\",\"token\"],\
             \"grant_types_supported\":[\"authorization_code\",\"implicit\"],\
             \"code_challenge_methods_supported\":[\"plain\",\"S256\"]}}"
        )
    );
    let stale = find(&[("Authorization", "Bearer sha256~stale")]).await;
    assert_eq!(stale.status, StatusCode::UNAUTHORIZED);
    let ignored = find(&[("Authorization", &alice())]).await;
    assert_eq!(ignored.status, StatusCode::OK);

    cluster.change(|options| options.flows = Flows::Code);
    assert!(!text(&find(&[]).await).contains("code_challenge"));
    cluster.change(|options| options.discovery = false);
    // Anonymous requests for an unknown path are forbidden, others get a 404.
    let token = cluster.issue_session("alice").unwrap();
    let bearer = format!("Bearer {}", token.expose());
    let gone = find(&[("Authorization", &bearer)]).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}
