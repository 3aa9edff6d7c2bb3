//! The tokens of each client, and their lifetimes.

use super::*;

#[tokio::test]
async fn each_client_gets_its_tokens_and_lifetimes_agree() {
    let ibm = cloud().await;
    let key = by_key(API_KEY);
    let nameless = granted(&ibm, None, &key).await;
    assert_eq!(nameless["refresh_token"], "not_supported");
    let bx = granted(&ibm, Some("bx"), &key).await;
    assert_ne!(bx["refresh_token"], "not_supported");
    assert_eq!(bx.get("id_token"), None);
    let kube = granted(&ibm, Some("kube"), &key).await;
    assert_eq!(kube["scope"], "ibm openid containers-kubernetes");
    assert!(kube["id_token"].is_string());
    assert_eq!(refused(&ibm, Some("other"), &key).await.0, 403);

    let claims = ibm.cloud.signer.claims(text(&bx, "access_token")).unwrap();
    assert_eq!(claims["exp"], bx["expiration"]);
    let lifetime = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(json!(lifetime), bx["expires_in"]);
    assert_eq!(claims["account"]["bss"], ACCOUNT);
    assert_eq!(claims["iss"], ibm.issuer_url());

    let mut old = key.to_vec();
    old.extend([("response_type", "cloud_iam uaa"), ("uaa_client_ID", "cf")]);
    old.push(("uaa_client_secret", ""));
    let old = granted(&ibm, Some("bx"), &old).await;
    assert!(old["uaa_token"].is_string() && old["uaa_refresh_token"].is_string());
    assert_eq!((ibm.granted(Grant::ApiKey), ibm.refused()), (4, 1));
}

#[tokio::test]
async fn clusters_accept_the_last_token_of_the_chain_and_no_access_token() {
    let ibm = cloud().await;
    let login = granted(&ibm, Some("bx"), &by_key(API_KEY)).await;
    let delegated = granted(&ibm, Some("bx"), &delegate(text(&login, "refresh_token"))).await;
    let fields: Vec<_> = delegated.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["delegated_refresh_token"]);
    let form = redeem(text(&delegated, "delegated_refresh_token"));
    assert_eq!(refused(&ibm, Some("bx"), &form).await.0, 403);
    let kube = granted(&ibm, Some("kube"), &form).await;

    let servers = [ibm.iks.url(), ibm.iks_private.url()];
    for server in servers {
        let user = whoami(&ibm, &server, text(&kube, "id_token")).await;
        assert_eq!(user, (201, json!(IAM_USER)));
        let access = whoami(&ibm, &server, text(&kube, "access_token")).await;
        assert_eq!(access.0, 401);
    }
    assert!(ibm.private_connections() > 0);
    // The token works only once.
    let spent = (400, "BXNIM0407E".to_owned());
    assert_eq!(refused(&ibm, Some("kube"), &form).await, spent);
    // Delegation did not spend the refresh token, and the redeemed one can be refreshed.
    granted(&ibm, Some("bx"), &refresh(text(&login, "refresh_token"))).await;
    let renewed = granted(&ibm, Some("kube"), &refresh(text(&kube, "refresh_token"))).await;
    assert!(renewed["id_token"].is_string());
    let counts = [
        Grant::Delegate,
        Grant::Redeem,
        Grant::Refresh,
        Grant::ClusterRefresh,
    ]
    .map(|grant| ibm.granted(grant));
    assert_eq!(counts, [1, 1, 1, 1]);
}

#[tokio::test]
async fn refresh_tokens_belong_to_a_client_and_end_in_three_ways() {
    let ibm = IbmCloud::start(Options {
        refresh_token: Duration::from_secs(10_000),
        inactivity: Duration::from_secs(1000),
        ..Options::default()
    })
    .await
    .unwrap();
    let login = async || {
        let tokens = granted(&ibm, Some("bx"), &by_key(API_KEY)).await;
        text(&tokens, "refresh_token").to_owned()
    };
    let bx = Some("bx");
    let code = |code: &str| (400, code.to_owned());
    let token = login().await;
    assert_eq!(
        refused(&ibm, Some("kube"), &refresh(&token)).await,
        code("BXNIM0407E")
    );
    granted(&ibm, bx, &refresh(&token)).await;
    assert_eq!(
        refused(&ibm, bx, &refresh(&token)).await,
        code("BXNIM0407E")
    );

    let token = login().await;
    ibm.iam_faults.skew_clock(1100);
    assert_eq!(
        refused(&ibm, bx, &refresh(&token)).await,
        code("BXNIM0439E")
    );
    ibm.iam_faults.skew_clock(10_100);
    assert_eq!(
        refused(&ibm, bx, &refresh(&token)).await,
        code("BXNIM0408E")
    );
    let token = login().await;
    ibm.end_sessions();
    assert_eq!(
        refused(&ibm, bx, &refresh(&token)).await,
        code("BXNIM0407E")
    );
}

#[tokio::test]
async fn a_reusable_refresh_token_works_more_than_once() {
    let ibm = IbmCloud::start(Options {
        reusable: true,
        ..Options::default()
    })
    .await
    .unwrap();
    let tokens = granted(&ibm, Some("bx"), &by_key(API_KEY)).await;
    for _ in 0..3 {
        granted(&ibm, Some("bx"), &refresh(text(&tokens, "refresh_token"))).await;
    }
}
