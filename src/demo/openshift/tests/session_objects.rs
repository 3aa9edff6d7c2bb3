//! Sessions at the API server: their objects, scopes and lifetimes.

use super::*;

#[tokio::test]
async fn a_session_can_read_its_object_and_ends_with_it() {
    let cluster = start().await;
    let token = implicit(&cluster, "").await;
    let (_, me) = api(&cluster, Method::GET, ME, &token).await;
    assert_eq!(me["metadata"]["name"], "alice");
    assert_eq!(me["identities"], json!(["htpasswd:alice"]));
    assert_eq!(
        me["groups"],
        json!(["system:authenticated", "system:authenticated:oauth"])
    );
    let (status, review) = api(&cluster, Method::POST, REVIEWS, &token).await;
    assert_eq!(status, 201);
    let user = json!({
        "username": "alice",
        "uid": me["metadata"]["uid"],
        "groups": ["system:authenticated:oauth", "system:authenticated"],
        "extra": {"scopes.authorization.openshift.io": ["user:full"]},
    });
    assert_eq!(review["status"]["userInfo"], user);

    let bearer = format!("Bearer {token}");
    let info = oauth(&cluster, "/oauth/info", &[("Authorization", &bearer)]).await;
    let left: Value = serde_json::from_slice(&info.body).unwrap();
    let left = left["expires_in"].as_u64().unwrap();
    assert!((86_380..=86_400).contains(&left), "{left}");
    assert_eq!(
        text(&info),
        format!(
            "{{\"access_token\":\"{token}\",\"client_id\":\"openshift-challenging-client\",\
             \"expires_in\":{left},\"scope\":\"user:full\",\"token_type\":\"Bearer\"}}\n"
        )
    );
    let bad = oauth(
        &cluster,
        "/oauth/info",
        &[("Authorization", "Bearer sha256~bad")],
    )
    .await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    assert!(text(&bad).starts_with("{\"error\":\"invalid_request\""));

    let mine = sessions::object_name(&token).unwrap();
    let others = cluster.issue_session("developer").unwrap();
    let others = sessions::object_name(others.expose()).unwrap();
    let (_, list) = api(&cluster, Method::GET, TOKENS, &token).await;
    assert_eq!(list["kind"], "UserOAuthAccessTokenList");
    let items = list["items"].as_array().unwrap();
    assert_eq!(
        (items.len(), &items[0]["metadata"]["name"]),
        (1, &json!(mine))
    );
    let (status, missing) = api(&cluster, Method::GET, &format!("{TOKENS}/{others}"), &token).await;
    assert_eq!(status, 404);
    assert_eq!(
        missing["message"],
        json!(format!(
            "useroauthaccesstokens.oauth.openshift.io \"{others}\" not found"
        ))
    );
    let path = format!("{TOKENS}/{others}");
    assert_eq!(api(&cluster, Method::DELETE, &path, &token).await.0, 404);

    let (status, gone) = api(
        &cluster,
        Method::DELETE,
        &format!("{TOKENS}/{mine}"),
        &token,
    )
    .await;
    assert_eq!((status, &gone["kind"]), (200, &json!("OAuthAccessToken")));
    assert_eq!(gone["userName"], "alice");
    let (status, refused) = api(&cluster, Method::GET, ME, &token).await;
    assert_eq!((status, &refused["message"]), (401, &json!("Unauthorized")));
}

#[tokio::test]
async fn a_watch_of_own_tokens_has_their_creation_and_deletion() {
    let cluster = start().await;
    let token = implicit(&cluster, "").await;
    let watching = format!(
        "{}{TOKENS}?watch=true&timeoutSeconds=3",
        cluster.api().url()
    );
    let (ca, bearer) = (cluster.api().ca_pem().to_owned(), format!("Bearer {token}"));
    let watch = tokio::spawn(async move {
        let headers = [("Authorization", bearer.as_str()), JSON];
        text(&send(&ca, Method::GET, &watching, &headers, "").await)
    });
    let store = &cluster.server.sessions.store;
    let begun = async {
        while store.watches() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), begun)
        .await
        .unwrap();
    let second = cluster.issue_session("alice").unwrap();
    let _others = cluster.issue_session("developer").unwrap();
    assert!(cluster.revoke(second.expose()));
    assert!(!cluster.revoke(second.expose()));
    let lines = watch.await.unwrap();
    let events: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let seen: Vec<_> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(seen, ["ADDED", "ADDED", "DELETED"], "{lines}");
    assert_eq!(events[2]["object"]["kind"], "UserOAuthAccessToken");
}

#[tokio::test]
async fn scopes_limit_tokens_and_users_are_no_cluster_admins() {
    let cluster = start().await;
    let full = implicit(&cluster, "").await;
    let (status, refused) = api(&cluster, Method::GET, "/api/v1/secrets", &full).await;
    let refused = refused.to_string();
    assert_eq!(status, 403, "{refused}");
    let recorded = "\"message\":\"secrets is forbidden: User \\\"alice\\\" cannot list resource \
                    \\\"secrets\\\" in API group \\\"\\\" at the cluster scope\"";
    assert!(refused.contains(recorded), "{refused}");
    for (path, status) in [
        ("/api/v1/pods", 200),
        ("/api/v1/namespaces/default/secrets", 200),
        ("/apis/project.openshift.io/v1/projects", 200),
        ("/apis/project.openshift.io/v1/projects/default", 200),
        ("/apis/project.openshift.io/v1/projects/nope", 404),
        ("/apis/user.openshift.io/v1/users/developer", 403),
        ("/apis/oauth.openshift.io/v1/oauthaccesstokens", 403),
    ] {
        assert_eq!(
            api(&cluster, Method::GET, path, &full).await.0,
            status,
            "{path}"
        );
    }

    let scoped = implicit(&cluster, "&scope=user:info").await;
    let (status, refused) = api(&cluster, Method::GET, TOKENS, &scoped).await;
    assert_eq!(status, 403);
    assert_eq!(
        refused,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "useroauthaccesstokens.oauth.openshift.io is forbidden: User \"alice\" \
                        cannot list resource \"useroauthaccesstokens\" in API group \
                        \"oauth.openshift.io\" at the cluster scope: scopes [user:info] prevent \
                        this action",
            "reason": "Forbidden",
            "details": {"group": "oauth.openshift.io", "kind": "useroauthaccesstokens"},
            "code": 403,
        })
    );
    let (status, refused) = api(&cluster, Method::POST, REVIEWS, &scoped).await;
    assert_eq!(status, 403);
    assert_eq!(
        refused["message"],
        "selfsubjectreviews.authentication.k8s.io is forbidden: User \"alice\" cannot create \
         resource \"selfsubjectreviews\" in API group \"authentication.k8s.io\" at the cluster \
         scope: scopes [user:info] prevent this action"
    );
    assert_eq!(refused["details"]["kind"], "selfsubjectreviews");
    assert_eq!(api(&cluster, Method::GET, ME, &scoped).await.0, 200);
    assert_eq!(
        api(&cluster, Method::GET, "/api/v1/pods", &scoped).await.0,
        403
    );
}

#[tokio::test]
async fn lifetimes_are_those_set_and_faults_affect_only_the_oauth_server() {
    let cluster = start().await;
    let was = implicit(&cluster, "").await;
    cluster.change(|options| options.token_max_age = 1);
    let short = implicit(&cluster, "").await;
    assert_eq!(api(&cluster, Method::GET, ME, &short).await.0, 200);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(api(&cluster, Method::GET, ME, &short).await.0, 401);
    assert_eq!(api(&cluster, Method::GET, ME, &was).await.0, 200);

    cluster.change(|options| options.token_max_age = 0);
    let endless = implicit(&cluster, "").await;
    let bearer = format!("Bearer {endless}");
    let info = oauth(&cluster, "/oauth/info", &[("Authorization", &bearer)]).await;
    assert!(text(&info).starts_with("{\"error\":\"invalid_grant\""));

    cluster.faults().respond_with(Some(FaultyResponse::Status(
        StatusCode::SERVICE_UNAVAILABLE,
    )));
    assert_eq!(oauth(&cluster, "/healthz", &[]).await.status, 503);
    assert_eq!(api(&cluster, Method::GET, ME, &endless).await.0, 200);
    cluster.faults().clear();
    assert_eq!(oauth(&cluster, "/healthz", &[]).await.status, 200);
}
