#![allow(clippy::unwrap_used)]
use http::{HeaderValue, StatusCode, header::SEC_WEBSOCKET_PROTOCOL};

use super::*;
use crate::hex;

const HASH: &str = "sha256:";

const TOKEN: &str = "0123456789abcdef";
const OTHER: &str = "another-token~of/it+s_own=";

fn check(file: &str, headers: &[(&'static str, &str)]) -> Result<HeaderMap, Refusal> {
    check_peer(Some(file), false, None, headers)
}

/// With a file of tokens, and a name of a client certificate.
fn check_peer(
    file: Option<&str>,
    accepts_certificates: bool,
    certificate: Option<&str>,
    headers: &[(&'static str, &str)],
) -> Result<HeaderMap, Refusal> {
    let tokens = file.map(|file| LocalTokens::parse(file).unwrap());
    let tokens = tokens.map(|tokens| Arc::new(ArcSwap::from_pointee(tokens)));
    let access = LocalAccess::new(tokens).with_certificates(accepts_certificates);
    let mut request = Request::new(());
    let peer = Peer::new(None).over_tls(certificate.map(Into::into));
    request.extensions_mut().insert(peer);
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).unwrap();
        request.headers_mut().append(*name, value);
    }
    access.check(&mut request)?;
    Ok(request.headers().clone())
}

fn file() -> String {
    let hash = hex::encode(&hash(OTHER.as_bytes()));
    format!(
        "# clients\n\nalice {TOKEN}\r\nbob\t{HASH}{}\n",
        hash.to_uppercase()
    )
}

#[test]
fn a_token_of_the_file_passes_and_is_taken_off() {
    for value in [
        format!("Bearer {TOKEN}"),
        format!("bearer  {TOKEN} "),
        format!("Bearer {OTHER}"),
    ] {
        let left = check(&file(), &[("authorization", &value), ("accept", "x")]).unwrap();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}

#[test]
fn a_websocket_may_bring_the_token_as_a_subprotocol() {
    let token = URL_SAFE_NO_PAD.encode(TOKEN);
    let offered = format!("v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.{token}");
    let left = check(&file(), &[("sec-websocket-protocol", &offered)]).unwrap();
    assert_eq!(left[SEC_WEBSOCKET_PROTOCOL], "v5.channel.k8s.io");
}

#[test]
fn without_a_token_of_the_file_it_is_401() {
    let wrong = URL_SAFE_NO_PAD.encode("0123456789abcdeX");
    let wrong = format!("base64url.bearer.authorization.k8s.io.{wrong}");
    for headers in [
        &[][..],
        &[("authorization", "Bearer 0123456789abcdeX")],
        &[("authorization", "Bearer")],
        &[("authorization", "Bearer ")],
        &[("authorization", "Basic YWxpY2U6MDEyMzQ1Njc4OWFiY2RlZg==")],
        &[("authorization", TOKEN)],
        &[("x-token", TOKEN), ("cookie", "token=0123456789abcdef")],
        &[("sec-websocket-protocol", &wrong)],
        &[("impersonate-user", "admin")],
    ] {
        let refusal = check(&file(), headers).unwrap_err();
        assert_eq!(refusal.status, StatusCode::UNAUTHORIZED, "{headers:?}");
        assert!(!refusal.message.contains("0123"), "{refusal}");
    }
    assert!(check("", &[("authorization", "Bearer 0123456789abcdef")]).is_err());
    // The hash is no token.
    let hash = hex::encode(&hash(TOKEN.as_bytes()));
    for token in [hash.clone(), format!("{HASH}{hash}")] {
        let value = format!("Bearer {token}");
        assert!(check(&file(), &[("authorization", &value)]).is_err());
    }
}

#[test]
fn who_is_known_by_certificate_needs_no_token_and_may_bring_a_credential() {
    let own = [("authorization", "Bearer of-the-client-itself")];
    for tokens in [None, Some(file())] {
        let check =
            |certificate, headers| check_peer(tokens.as_deref(), true, certificate, headers);
        assert_eq!(check(Some("alice"), &own).unwrap().len(), 1);
        assert!(check(Some("alice"), &[]).is_ok());
        for headers in [&own[..], &[]] {
            let refusal = check(None, headers).unwrap_err();
            assert_eq!(refusal.status, StatusCode::UNAUTHORIZED);
            assert!(refusal.message.contains("--client-ca") || tokens.is_some());
        }
    }
    // A local token is never passed on.
    let value = format!("Bearer {TOKEN}");
    let local = [("authorization", value.as_str())];
    let file = file();
    let left = check_peer(Some(&file), true, Some("alice"), &local).unwrap();
    assert!(left.is_empty(), "{left:?}");
    assert!(check_peer(Some(&file), true, None, &local).is_ok());
    // Without --client-ca, no certificate counts.
    assert!(check_peer(Some(&file), false, None, &own).is_err());
}

#[test]
fn a_client_with_a_certificate_passes_on_no_token_of_the_file() {
    const PREFIX: &str = "base64url.bearer.authorization.k8s.io.";
    let file = file();
    let subprotocol = |token: &str| format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(token));
    let (local, own) = (subprotocol(OTHER), subprotocol("own-cred"));
    // The last character of the encoding has bits that Go ignores.
    let trailing = format!("{PREFIX}MDEyMzQ1Njc4OWFiY2RlZh");
    assert_eq!(
        LENIENT.decode(&trailing[PREFIX.len()..]).unwrap(),
        TOKEN.as_bytes()
    );
    let check = |headers: &[(&'static str, &str)]| {
        let left = check_peer(Some(&file), true, Some("alice"), headers).unwrap();
        let left = left.iter().map(|(_, value)| value.to_str().unwrap());
        left.map(str::to_owned).collect::<Vec<_>>().join("; ")
    };
    let bearer = format!("Bearer {TOKEN}");
    let protocols = |offered: &[&str]| {
        check(&[
            ("authorization", "Bearer own-cred"),
            ("sec-websocket-protocol", &offered.join(", ")),
        ])
    };
    assert_eq!(protocols(&["v4", &local]), "Bearer own-cred; v4");
    assert_eq!(protocols(&[&local]), "Bearer own-cred");
    assert_eq!(protocols(&["v4", &trailing]), "Bearer own-cred; v4");
    assert_eq!(
        protocols(&[&own, "v4", &local]),
        format!("Bearer own-cred; {own}, v4")
    );
    let own_only = format!("v4,{own}");
    assert_eq!(
        protocols(&[&own_only]),
        format!("Bearer own-cred; {own_only}")
    );
    for (first, second) in [(bearer.as_str(), "Bearer own"), ("Bearer own", &bearer)] {
        let both = [("authorization", first), ("authorization", second)];
        assert_eq!(check(&both), "Bearer own");
    }
    for value in [
        format!("Bearer {TOKEN} x"),
        format!("Bearer {TOKEN}, Bearer own"),
        format!("bearer   {OTHER}"),
        format!("Token {TOKEN}"),
    ] {
        assert_eq!(check(&[("authorization", &value)]), "", "{value}");
    }
}

#[test]
fn two_authorization_headers_are_malformed() {
    let value = format!("Bearer {TOKEN}");
    let twice = [
        ("authorization", value.as_str()),
        ("authorization", "Bearer x"),
    ];
    let refusal = check(&file(), &twice).unwrap_err();
    assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
}
