//! What IAM grants tokens for, and what it refuses.

use super::*;

#[tokio::test]
async fn users_choose_an_account_and_api_keys_have_one() {
    let ibm = cloud().await;
    let account = async |form: &[(&str, &str)]| {
        let tokens = granted(&ibm, Some("bx"), form).await;
        let mut claims = ibm
            .cloud
            .signer
            .claims(text(&tokens, "access_token"))
            .unwrap();
        (tokens, claims["account"]["bss"].take())
    };
    let password = [
        ("grant_type", "password"),
        ("username", USER),
        ("password", PASSWORD),
    ];
    let (tokens, none) = account(&password).await;
    assert_eq!(none, Value::Null);
    let access = text(&tokens, "access_token");
    assert_eq!(containers(&ibm, "/v2/vpc/getClusters", access).await.0, 401);
    for name in ["bss_account", "account"] {
        let mut form = password.to_vec();
        form.push((name, STAGING_ACCOUNT));
        assert_eq!(account(&form).await.1, STAGING_ACCOUNT);
    }
    let passcode = ibm.passcode();
    let passcode = [
        ("grant_type", PASSCODE_GRANT),
        ("passcode", &passcode),
        ("bss_account", ACCOUNT),
    ];
    let (tokens, first) = account(&passcode).await;
    assert_eq!(first, ACCOUNT);
    assert_eq!(refused(&ibm, Some("bx"), &passcode).await.0, 400);
    // The session can change to another account of the user, but to no other.
    let mut form = refresh(text(&tokens, "refresh_token")).to_vec();
    form.push(("bss_account", STAGING_ACCOUNT));
    let (tokens, moved) = account(&form).await;
    assert_eq!(moved, STAGING_ACCOUNT);
    let mut form = refresh(text(&tokens, "refresh_token")).to_vec();
    form.push(("bss_account", "unknown"));
    assert_eq!(refused(&ibm, Some("bx"), &form).await.0, 403);

    let mut form = by_key(STAGING_API_KEY).to_vec();
    form.push(("bss_account", ACCOUNT));
    assert_eq!(account(&form).await.1, STAGING_ACCOUNT);
}

#[tokio::test]
async fn a_refused_login_has_the_code_of_its_reason() {
    let ibm = cloud().await;
    let bx = Some("bx");
    let code = |status, code: &str| (status, code.to_owned());
    let password = |password| {
        [
            ("grant_type", "password"),
            ("username", USER),
            ("password", password),
        ]
    };
    let missing = [("grant_type", API_KEY_GRANT), ("apikey", "")];
    for (form, expected) in [
        (&missing[..], code(400, "BXNIM0109E")),
        (&[], code(400, "BXNIM0109E")),
        (&[("grant_type", "magic")], code(400, "BXNIM0109E")),
        (&by_key("sesame-unknown"), code(400, "BXNIM0415E")),
        (&password("sesame-wrong"), code(401, "BXNIM0602E")),
    ] {
        assert_eq!(refused(&ibm, bx, form).await, expected, "{form:?}");
    }
    let passcode = ibm.passcode();
    ibm.iam_faults.skew_clock(301);
    let late = [("grant_type", PASSCODE_GRANT), ("passcode", &passcode)];
    assert_eq!(refused(&ibm, bx, &late).await, code(400, "BXNIM0407E"));

    ibm.require_mfa(true);
    let (status, body) = ask(&ibm, bx, &password(PASSWORD)).await;
    assert_eq!((status, text(&body, "errorCode")), (401, "BXNIM0400E"));
    assert!(body["requirements"]["code"].is_string());
    ibm.require_mfa(false);
    ibm.suspend_user(true);
    for form in [&password(PASSWORD)[..], &by_key(API_KEY)] {
        assert_eq!(refused(&ibm, bx, form).await, code(401, "BXNIM0436E"));
    }
    ibm.suspend_user(false);
    ibm.revoke_api_key();
    let gone = refused(&ibm, bx, &by_key(API_KEY)).await;
    assert_eq!(gone, code(400, "BXNIM0415E"));
    granted(&ibm, bx, &by_key(STAGING_API_KEY)).await;
}

#[tokio::test]
async fn a_pod_assumes_its_profile_and_gets_no_refresh_token() {
    let ibm = cloud().await;
    let pod = ibm.pod_token(Duration::from_secs(600)).unwrap();
    let crn = format!("crn:v1:bluemix:public:iam-identity::a/{ACCOUNT}::profile:{PROFILE_ID}");
    for (field, name) in [
        ("profile_id", PROFILE_ID),
        ("profile_name", PROFILE_NAME),
        ("profile_crn", &crn),
    ] {
        let form = [("grant_type", POD_GRANT), ("cr_token", &pod), (field, name)];
        let tokens = granted(&ibm, Some("bx"), &form).await;
        assert_eq!(tokens["refresh_token"], "not_supported");
        let kube = granted(&ibm, Some("kube"), &form).await;
        let (_, user) = whoami(&ibm, &ibm.iks.url(), text(&kube, "id_token")).await;
        assert_eq!(user, format!("IAM#{PROFILE_ID}"));
    }
    let profile = ("profile_name", PROFILE_NAME);
    let ended = ibm.pod_token(Duration::ZERO).unwrap();
    for (token, profile, code) in [
        (&ended, profile, "BXNIM0407E"),
        (&pod, ("profile_name", "other"), "BXNIM0410E"),
        (&pod, ("profile", "x"), "BXNIM0109E"),
    ] {
        let form = [("grant_type", POD_GRANT), ("cr_token", token), profile];
        assert_eq!(refused(&ibm, None, &form).await, (400, code.to_owned()));
    }
}

#[tokio::test]
async fn a_virtual_server_gets_its_identity_and_a_token_of_its_profile() {
    let ibm = cloud().await;
    let send = async |method: Method, path: &str, headers: &[(&str, &str)], body: &Value| {
        let url = format!("{}/instance_identity/v1/{path}", ibm.metadata.url());
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.to_string().into()).unwrap();
        let response = to(ibm.ca_pem()).send(request, None).await.unwrap();
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        (response.status.as_u16(), body)
    };
    let flavor = [("metadata-flavor", "ibm")];
    let lifetime = json!({"expires_in": 300});
    let identity = send(Method::PUT, "token?version=2022-03-01", &flavor, &lifetime).await;
    assert_eq!(identity.0, 200);
    assert_eq!(identity.1["expires_in"], 300);
    let bearer = format!("Bearer {}", text(&identity.1, "access_token"));
    let bearer = [("authorization", bearer.as_str())];
    let path = "iam_token?version=2022-03-01";
    let profile = json!({"trusted_profile": {"id": PROFILE_ID}});
    let (status, token) = send(Method::POST, path, &bearer, &profile).await;
    assert_eq!(status, 200);
    let access = text(&token, "access_token");
    let (status, _) = containers(&ibm, "/v2/getCluster?cluster=kubegate-iks", access).await;
    assert_eq!(status, 200);

    let other = json!({"trusted_profile": {"id": "Profile-other"}});
    assert_eq!(send(Method::POST, path, &bearer, &other).await.0, 403);
    assert_eq!(send(Method::POST, path, &[], &profile).await.0, 401);
    let token = "token?version=2022-03-01";
    assert_eq!(send(Method::PUT, token, &[], &lifetime).await.0, 400);
    assert_eq!(send(Method::PUT, "token", &flavor, &lifetime).await.0, 400);
}
