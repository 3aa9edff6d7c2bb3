//! The services for accounts and clusters.

use super::*;

#[tokio::test]
async fn accounts_are_listed_in_pages() {
    let ibm = cloud().await;
    let tokens = granted(&ibm, None, &by_key(API_KEY)).await;
    let (mut names, mut pages) = (Vec::new(), 0);
    let mut next = Some("/coe/v2/accounts".to_owned());
    while let Some(path) = next {
        let url = format!("{}{path}", ibm.accounts.url());
        let token = text(&tokens, "access_token");
        let (status, page) = call(ibm.ca_pem(), Method::GET, &url, token, &json!({})).await;
        assert_eq!((status, &page["total_results"]), (200, &json!(5)));
        for account in page["resources"].as_array().unwrap() {
            names.push(account["entity"]["name"].as_str().unwrap().to_owned());
        }
        next = page["next_url"].as_str().map(str::to_owned);
        pages += 1;
    }
    assert_eq!((names.len(), pages), (5, 3));
    assert!(names.contains(&"Example Staging".to_owned()));
    let url = format!("{}/coe/v2/accounts", ibm.accounts.url());
    let (status, _) = call(ibm.ca_pem(), Method::GET, &url, "nope", &json!({})).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn clusters_are_found_only_in_their_account() {
    let ibm = cloud().await;
    let tokens = granted(&ibm, None, &by_key(API_KEY)).await;
    let access = text(&tokens, "access_token");
    for (path, count) in [
        ("/v2/classic/getClusters", 1),
        ("/v2/vpc/getClusters?provider=vpc-gen2", 4),
        ("/v2/satellite/getClusters", 1),
        ("/v1/clusters", 1),
    ] {
        let (status, list) = containers(&ibm, path, access).await;
        assert_eq!(
            (status, list.as_array().unwrap().len()),
            (200, count),
            "{path}"
        );
    }
    for name in ["kubegate-iks", "bkiks0prod0000000001"] {
        let path = format!("/v2/getCluster?cluster={name}");
        let (_, cluster) = containers(&ibm, &path, access).await;
        let endpoints = &cluster["serviceEndpoints"];
        assert_eq!(cluster["masterURL"], ibm.iks.url());
        assert_eq!(
            endpoints["privateServiceEndpointURL"],
            ibm.iks_private.url()
        );
        let path = format!("/v1/clusters/{name}");
        let (_, cluster) = containers(&ibm, &path, access).await;
        assert_eq!(cluster["serverURL"], ibm.iks.url());
        assert_eq!(cluster["privateServiceEndpointURL"], ibm.iks_private.url());
    }
    let (status, error) = containers(&ibm, "/v2/getCluster?cluster=staging-iks", access).await;
    assert_eq!((status, text(&error, "code")), (404, "G0004"));
    let (status, error) = containers(&ibm, "/v2/getCluster?cluster=x", "nope").await;
    assert_eq!((status, text(&error, "code")), (401, "E0058"));
}

#[tokio::test]
async fn an_old_service_has_the_first_version_only_and_another_layout() {
    let ibm = IbmCloud::start(Options {
        version_2: false,
        ..Options::default()
    })
    .await
    .unwrap();
    let tokens = granted(&ibm, None, &by_key(API_KEY)).await;
    let access = text(&tokens, "access_token");
    let (status, body) = containers(&ibm, "/v2/classic/getClusters", access).await;
    assert_eq!((status, body), (404, Value::Null));
    assert_eq!(containers(&ibm, "/v1/clusters", access).await.0, 200);

    let flat = IbmCloud::start(Options {
        flat_endpoints: true,
        ..Options::default()
    })
    .await
    .unwrap();
    let tokens = granted(&flat, None, &by_key(API_KEY)).await;
    let path = "/v2/getCluster?cluster=kubegate-private";
    let (_, cluster) = containers(&flat, path, text(&tokens, "access_token")).await;
    assert_eq!(cluster["publicServiceEndpointEnabled"], false);
    assert_eq!(cluster["masterURL"], flat.iks_private.url());
    assert_eq!(cluster["privateServiceEndpointURL"], flat.iks_private.url());
}

#[tokio::test]
async fn a_kubeconfig_has_tokens_only_for_a_refresh_token() {
    let ibm = cloud().await;
    let tokens = granted(&ibm, Some("bx"), &by_key(API_KEY)).await;
    let access = text(&tokens, "access_token");
    let url = format!(
        "{}/global/v2/applyRBACAndGetKubeconfig",
        ibm.containers.url()
    );
    let body = json!({
        "cluster": "kubegate-iks", "format": "json", "admin": false, "endpointType": "private",
    });
    let (_, config) = call(ibm.ca_pem(), Method::POST, &url, access, &body).await;
    let cluster = &config["clusters"][0]["cluster"];
    assert_eq!(cluster["server"], ibm.iks_private.url());
    let ca = BASE64_STANDARD.decode(text(cluster, "certificate-authority-data"));
    assert_eq!(ca.unwrap(), ibm.iks.ca_pem().as_bytes());
    let provider = &config["users"][0]["user"]["auth-provider"]["config"];
    assert_eq!(provider["idp-issuer-url"], ibm.issuer_url());
    assert_eq!(provider.get("refresh-token"), None);

    let path = "/global/v2/getKubeconfig?cluster=kubegate-iks&format=json";
    let request = Request::get(format!("{}{path}", ibm.containers.url()))
        .header(header::AUTHORIZATION, format!("Bearer {access}"))
        .header("x-auth-refresh-token", text(&tokens, "refresh_token"))
        .body(Bytes::new())
        .unwrap();
    let response = to(ibm.ca_pem()).send(request, None).await.unwrap();
    let config: Value = serde_json::from_slice(&response.body).unwrap();
    let provider = &config["users"][0]["user"]["auth-provider"]["config"];
    let (status, _) = whoami(&ibm, &ibm.iks.url(), text(provider, "id-token")).await;
    assert_eq!(status, 201);
    granted(
        &ibm,
        Some("kube"),
        &refresh(text(provider, "refresh-token")),
    )
    .await;

    let role = "/v2/getRBACStatus?cluster=kubegate-iks";
    for synchronized in [false, true] {
        let (_, body) = containers(&ibm, role, access).await;
        assert_eq!(body["synchronized"], synchronized);
    }
    let young = "/v2/getKubeconfig?cluster=kubegate-young&format=json";
    assert_eq!(containers(&ibm, young, access).await.0, 503);
}
