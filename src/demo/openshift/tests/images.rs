//! The image registry.

use super::*;

#[tokio::test]
async fn the_registry_accepts_a_session_and_stores_signatures() {
    let cluster = start().await;
    let token = implicit(&cluster, "").await;
    let registry = async |method: Method, path: &str, authorization: &str, body: &str| {
        let url = format!("{}{path}", cluster.registry_url());
        let header = [("Authorization", authorization)];
        let headers = if authorization.is_empty() {
            &[][..]
        } else {
            &header
        };
        send(cluster.registry_ca_pem(), method, &url, headers, body).await
    };
    let response = registry(Method::GET, "/v2/", "", "").await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    let realm = format!(
        "Bearer realm=\"{}/openshift/token\"",
        cluster.registry_url()
    );
    assert_eq!(value(&response, "www-authenticate"), realm);
    assert_eq!(value(&response, "x-registry-supports-signatures"), "1");

    let (by_bearer, by_basic) = (format!("Bearer {token}"), basic("anything", &token));
    let path = "/openshift/token?scope=repository:demo/hello:pull";
    let response = registry(Method::GET, path, &by_basic, "").await;
    let given: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(given, json!({"token": token, "access_token": token}));
    for (authorization, status) in [
        (by_bearer.as_str(), 200),
        (&by_basic, 200),
        ("Bearer sha256~stale", 401),
        ("Basic !", 401),
    ] {
        let response = registry(Method::GET, "/v2/", authorization, "").await;
        assert_eq!(response.status, status, "{authorization}");
    }
    let stale = registry(Method::GET, path, &basic("x", "sha256~stale"), "").await;
    assert_eq!(stale.status, StatusCode::UNAUTHORIZED);

    let digest = cluster.add_image("demo/signed");
    let path = format!("/extensions/v2/demo/signed/signatures/{digest}");
    let signature = json!({
        "schemaVersion": 2, "name": format!("{digest}@mine"), "type": "atomic", "content": "c2ln",
    });
    let sent = signature.to_string();
    let put = async |body: &str| registry(Method::PUT, &path, &by_bearer, body).await;
    assert_eq!(put(&sent).await.status, StatusCode::CREATED);
    for (body, status, code) in [
        (sent.clone(), 409, "SIGNATURE_EXISTS"),
        (
            sent.replace("schemaVersion", "version"),
            400,
            "SIGNATURE_INVALID",
        ),
        (sent.replace("@mine", ""), 400, "SIGNATURE_INVALID"),
        (sent.replace("c2ln", "!"), 400, "SIGNATURE_INVALID"),
        ("{".to_owned(), 400, "SIGNATURE_INVALID"),
    ] {
        let response = put(&body).await;
        let error: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(response.status, status);
        assert_eq!(error["errors"][0]["code"], code, "{body}");
    }
    let response = registry(Method::GET, &path, &by_bearer, "").await;
    let shown: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(shown, json!({"signatures": [signature]}));
    let unknown = path.replace("signed/", "other/");
    assert_eq!(
        registry(Method::GET, &unknown, &by_bearer, "").await.status,
        404
    );
    let scoped = format!("Bearer {}", implicit(&cluster, "&scope=user:info").await);
    for (authorization, v2, signatures) in
        [(scoped.as_str(), 200, 401), ("Bearer anonymous", 200, 401)]
    {
        assert_eq!(
            registry(Method::GET, "/v2/", authorization, "")
                .await
                .status,
            v2
        );
        assert_eq!(
            registry(Method::GET, &path, authorization, "").await.status,
            signatures
        );
    }
}
