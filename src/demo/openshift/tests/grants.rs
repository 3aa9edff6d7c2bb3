//! Codes and tokens that the OAuth server gives, and its errors.

use super::*;

#[tokio::test]
async fn a_code_is_exchanged_once_and_responses_are_those_recorded() {
    let cluster = start().await;
    let code = code(&cluster).await;
    let by = Some(BY_CHALLENGING);
    let (status, body) = exchange(
        &cluster,
        &exchange_form(&cluster, &code, &"x".repeat(64)),
        by,
    )
    .await;
    assert_eq!(status, 400);
    assert_eq!(
        body,
        "{\"error\":\"invalid_grant\",\"error_description\":\"The provided authorization grant \
         (e.g., authorization code, resource owner credentials) or refresh token is invalid, \
         expired, revoked, does not match the redirection URI used in the authorization request, \
         or was issued to another client.\"}\n"
    );
    let form = exchange_form(&cluster, &code, VERIFIER);
    let (status, body) = exchange(&cluster, &form, by).await;
    assert_eq!(status, 200, "{body}");
    let token: Value = serde_json::from_str(&body).unwrap();
    let token = token["access_token"].as_str().unwrap();
    assert_eq!(token.len(), "sha256~".len() + 43);
    assert_eq!(
        body,
        format!(
            "{{\"access_token\":\"{token}\",\"expires_in\":86400,\"scope\":\"user:full\",\
             \"token_type\":\"Bearer\"}}\n"
        )
    );
    let (status, body) = exchange(&cluster, &form, by).await;
    assert_eq!(status, 400);
    assert_eq!(
        body,
        "{\"error\":\"unauthorized_client\",\"error_description\":\"The client is not authorized \
         to request a token using this method.\"}\n"
    );
    assert_eq!(cluster.logins(), 1);

    let name = sessions::object_name(token).unwrap();
    let (status, object) = api(&cluster, Method::GET, &format!("{TOKENS}/{name}"), token).await;
    assert_eq!((status, &object["authorizeToken"]), (200, &json!(code)));
    assert_eq!(object["metadata"]["name"], json!(name));
    let fields = &object["metadata"]["managedFields"][0]["fieldsV1"];
    let fields: Vec<_> = fields.as_object().unwrap().keys().collect();
    assert_eq!(
        fields,
        [
            "f:authorizeToken",
            "f:clientName",
            "f:expiresIn",
            "f:redirectURI",
            "f:scopes",
            "f:userName",
            "f:userUID"
        ]
    );
}

#[tokio::test]
async fn every_error_of_the_token_endpoint_is_400_with_its_code() {
    let cluster = start().await;
    let by = Some(BY_CHALLENGING);
    let form = exchange_form(&cluster, "sha256~x", VERIFIER);
    let in_form = format!("{form}&client_id=openshift-challenging-client&client_secret=");
    for (form, authorization, error) in [
        (form.as_str(), None, "invalid_request"),
        (&form, by, "unauthorized_client"),
        (&in_form, None, "unauthorized_client"),
        (&form, Some("Basic bm9ib2R5Og=="), "unauthorized_client"),
        ("grant_type=authorization_code", by, "invalid_grant"),
        (
            "refresh_token=x&grant_type=refresh_token",
            by,
            "invalid_grant",
        ),
        (
            "username=alice&password=x&grant_type=password",
            by,
            "access_denied",
        ),
        ("grant_type=client_credentials", by, "access_denied"),
        ("grant_type=magic", by, "unsupported_grant_type"),
    ] {
        let (status, body) = exchange(&cluster, form, authorization).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["error"]), (400, &json!(error)), "{form}");
    }
}

#[tokio::test]
async fn an_invalid_client_is_an_error_and_other_errors_are_redirected() {
    let cluster = start().await;
    let alice = alice();
    let by = [CSRF, ("Authorization", alice.as_str())];
    let path = authorize(&cluster, "");
    for (path, error) in [
        (
            path.replace("openshift-challenging-client", "unknown"),
            "unauthorized_client",
        ),
        (path.replace("127.0.0.1", "evil.example"), "invalid_request"),
    ] {
        let response = oauth(&cluster, &path, &by).await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST);
        assert!(text(&response).starts_with(&format!("{{\"error\":\"{error}\"")));
    }
    let response = oauth(
        &cluster,
        &authorize(&cluster, "&scope=user:nope&state=st1"),
        &by,
    )
    .await;
    assert_eq!(
        value(&response, "location"),
        format!(
            "{}?error=invalid_scope&error_description=%5B0%5D%3A+Invalid+value%3A+%22user%3Anope\
             %22%3A+no+scope+handler+found",
            back(&cluster)
        )
    );
    for (path, error) in [
        (
            path.replace("=code&", "=magic&").replace("=code", "=magic"),
            "unsupported_response_type",
        ),
        (path.replace("=S256", "=S512"), "invalid_request"),
    ] {
        let response = oauth(&cluster, &format!("{path}&state=st1"), &by).await;
        let location = value(&response, "location");
        let start = format!("{}?error={error}&error_description=", back(&cluster));
        assert!(
            location.starts_with(&start) && location.ends_with("&state=st1"),
            "{location}"
        );
    }
}

#[tokio::test]
async fn the_implicit_flow_returns_the_token_in_the_fragment() {
    let cluster = start().await;
    let path = "/oauth/authorize?response_type=token&client_id=openshift-challenging-client";
    let response = oauth(&cluster, path, &[CSRF, ("Authorization", &alice())]).await;
    let location = value(&response, "location");
    let start = format!("{}#access_token=sha256~", back(&cluster));
    let end = "&expires_in=86400&scope=user%3Afull&token_type=Bearer";
    assert!(
        location.starts_with(&start) && location.ends_with(end),
        "{location}"
    );

    cluster.change(|options| options.flows = Flows::Implicit);
    let response = oauth(&cluster, &authorize(&cluster, ""), &[CSRF]).await;
    assert!(value(&response, "location").contains("error=unsupported_response_type"));
    let token = implicit(&cluster, "").await;
    assert_eq!(api(&cluster, Method::GET, ME, &token).await.0, 200);
}
