//! Logins to the clusters themselves.

use super::*;

#[tokio::test]
async fn the_login_in_a_kubeconfig_is_renewed_as_an_oidc_issuers() {
    let ibm = cloud().await;
    let url = format!("{}/.well-known/openid-configuration", ibm.issuer_url());
    let response = to(ibm.ca_pem()).get(&url.parse().unwrap(), None).await;
    let metadata: Value = serde_json::from_slice(&response.unwrap().body).unwrap();
    assert_eq!(metadata["issuer"], ibm.issuer_url());
    let (id_token, refresh_token) = ibm.kube_login().unwrap();
    let (status, user) = whoami(&ibm, &ibm.iks.url(), &id_token).await;
    assert_eq!((status, user), (201, json!(IAM_USER)));
    let mut form = refresh(&refresh_token).to_vec();
    form.extend([("client_id", "kube"), ("client_secret", "kube")]);
    let url = text(&metadata, "token_endpoint").parse().unwrap();
    let response = to(ibm.ca_pem()).post(&url, &form, None).await.unwrap();
    let tokens: Value = serde_json::from_slice(&response.body).unwrap();
    assert!(tokens["id_token"].is_string(), "{tokens}");
}

#[tokio::test]
async fn an_openshift_cluster_accepts_an_api_key_or_a_passcode() {
    let ibm = cloud().await;
    let enter = async |name: &str, password: &str| {
        let url = format!(
            "{}/oauth/authorize?response_type=token&client_id=openshift-challenging-client",
            ibm.roks.oauth_url()
        );
        let pair = BASE64_STANDARD.encode(format!("{name}:{password}"));
        let request = Request::get(url)
            .header(header::AUTHORIZATION, format!("Basic {pair}"))
            .header("x-csrf-token", "1")
            .body(Bytes::new())
            .unwrap();
        let response = to(ibm.ca_pem()).send(request, None).await.unwrap();
        let location = response.headers.get(header::LOCATION)?.to_str().unwrap();
        let (_, token) = location.split_once("access_token=")?;
        Some(token.split('&').next().unwrap().to_owned())
    };
    let token = enter("apikey", API_KEY).await.unwrap();
    let url = format!("{}/apis/user.openshift.io/v1/users/~", ibm.roks.api().url());
    let (status, user) = call(ibm.ca_pem(), Method::GET, &url, &token, &json!({})).await;
    assert_eq!((status, &user["metadata"]["name"]), (200, &json!(IAM_USER)));
    let passcode = ibm.passcode();
    assert!(enter("passcode", &passcode).await.is_some());
    assert!(enter("passcode", &passcode).await.is_none());
    assert!(enter("apikey", STAGING_API_KEY).await.is_none());
    ibm.revoke_api_key();
    assert!(enter("apikey", API_KEY).await.is_none());

    let tokens = granted(&ibm, None, &by_key(STAGING_API_KEY)).await;
    let access = text(&tokens, "access_token");
    let (status, _) = containers(&ibm, "/v2/getCluster?cluster=kubegate-roks", access).await;
    assert_eq!(status, 404);
}
