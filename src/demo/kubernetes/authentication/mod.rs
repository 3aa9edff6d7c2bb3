//! Authentication: the user of a request, by its bearer token and impersonation headers.

pub(crate) mod tokens;
pub(crate) mod user_info;

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use percent_encoding::percent_decode_str;

use crate::demo::kubernetes::{
    authentication::{tokens::Tokens, user_info::UserInfo},
    encoding::status::Status,
    vendor::VendorExtension,
    websocket_handshake,
};

/// The prefix of the WebSocket subprotocol in which browsers send a bearer token.
const TOKEN_PROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";

/// Authenticates requests.
#[derive(Debug)]
pub(crate) struct Authentication {
    tokens: Tokens,
    extension: Option<Arc<dyn VendorExtension>>,
}

impl Authentication {
    pub(crate) fn new(tokens: Tokens, extension: Option<Arc<dyn VendorExtension>>) -> Self {
        Self { tokens, extension }
    }

    pub(crate) fn extension(&self) -> Option<&dyn VendorExtension> {
        self.extension.as_deref()
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The user that a request acts as. An invalid bearer token is an error. A request without
    /// credentials, or with those of another scheme, is anonymous.
    ///
    /// Removes the credentials from the headers, as API servers do.
    pub(crate) fn authenticate(&self, headers: &mut HeaderMap) -> Result<UserInfo, Status> {
        let protocol_token = take_protocol_token(headers);
        let token = match headers.remove(header::AUTHORIZATION) {
            Some(value) => bearer(&value),
            None => protocol_token?,
        };
        let user = match token {
            Some(token) => self.user(&token).ok_or_else(Status::unauthorized)?,
            None => UserInfo::anonymous(),
        };
        impersonate(headers, user)
    }

    /// The user of a bearer token, issued here or by the vendor.
    pub(crate) fn user(&self, token: &str) -> Option<UserInfo> {
        let now = SystemTime::now();
        let user = self.tokens.authenticate(token, now);
        user.or_else(|| self.extension.as_ref()?.authenticate(token, now))
    }
}

fn bearer(value: &HeaderValue) -> Option<String> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    let is_bearer = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty();
    is_bearer.then(|| token.to_owned())
}

/// Removes the bearer token from the subprotocols of a WebSocket handshake, valid or not. There must
/// be another subprotocol, because the response may not select this one.
fn take_protocol_token(headers: &mut HeaderMap) -> Result<Option<String>, Status> {
    if !websocket_handshake::is_upgrade(headers) {
        return Ok(None);
    }
    let (tokens, others): (Vec<String>, Vec<String>) =
        websocket_handshake::tokens(headers, &header::SEC_WEBSOCKET_PROTOCOL)
            .map(str::to_owned)
            .partition(|protocol| protocol.starts_with(TOKEN_PROTOCOL));
    if tokens.is_empty() {
        return Ok(None);
    }
    headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
    let (Ok(rest), [token], [_, ..]) = (
        HeaderValue::from_str(&others.join(", ")),
        &tokens[..],
        &others[..],
    ) else {
        return Err(Status::unauthorized());
    };
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, rest);
    let token = URL_SAFE_NO_PAD.decode(&token[TOKEN_PROTOCOL.len()..]).ok();
    let token = token.and_then(|bytes| String::from_utf8(bytes).ok());
    token.map(Some).ok_or_else(Status::unauthorized)
}

/// Applies `Impersonate-User`, `-Uid`, `-Group` and `-Extra-*`.
fn impersonate(headers: &HeaderMap, user: UserInfo) -> Result<UserInfo, Status> {
    let values = |name: &str| -> Vec<String> {
        let values = headers.get_all(name).iter();
        values
            .filter_map(|value| value.to_str().ok().map(str::to_owned))
            .collect()
    };
    let extra = extra(headers);
    let groups = values("impersonate-group");
    let uid = values("impersonate-uid").into_iter().next();
    let Some(name) = values("impersonate-user").into_iter().next() else {
        if groups.is_empty() && uid.is_none() && extra.is_empty() {
            return Ok(user);
        }
        let message = "Internal Server Error: requested attributes without impersonating a user";
        return Err(Status::internal(message));
    };
    if user.is_anonymous() {
        let sentence = format!(
            "User {:?} cannot impersonate resource \"users\" in API group \"\" at the cluster scope",
            user.username
        );
        return Err(Status::forbidden(None, &sentence));
    }
    let uid = uid.unwrap_or_default();
    Ok(UserInfo::impersonated(name, uid, groups, extra))
}

/// The extra attributes of the impersonated user: `Impersonate-Extra-Scopes: a` is
/// `{"scopes": ["a"]}`. The key may be percent-encoded.
fn extra(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        let key = name.as_str().strip_prefix("impersonate-extra-");
        if let (Some(key), Ok(value)) = (key, value.to_str()) {
            let key = percent_decode_str(key).decode_utf8_lossy().to_lowercase();
            extra.entry(key).or_default().push(value.to_owned());
        }
    }
    extra
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn authentication() -> Authentication {
        Authentication::new(Tokens::new(Duration::from_secs(60)).unwrap(), None)
    }

    fn admin_bearer(authentication: &Authentication) -> String {
        format!(
            "Bearer {}",
            authentication.tokens().issue_admin().0.expose()
        )
    }

    #[test]
    fn no_credentials_are_anonymous_and_an_invalid_token_is_unauthorized() {
        let authentication = authentication();
        let user = authentication.authenticate(&mut HeaderMap::new()).unwrap();
        assert!(user.is_anonymous());
        for other in ["Basic bm9wZTpub3Bl", "Digest x", "Bearer", "Bearer "] {
            let mut headers = headers(&[("authorization", other)]);
            let user = authentication.authenticate(&mut headers).unwrap();
            assert!(user.is_anonymous() && headers.is_empty(), "{other}");
        }
        let mut invalid = headers(&[("authorization", "Bearer nope")]);
        assert!(authentication.authenticate(&mut invalid).is_err());
        let mut valid = headers(&[("authorization", &admin_bearer(&authentication))]);
        let admin = authentication.authenticate(&mut valid).unwrap();
        assert_eq!(admin.username, "demo-admin");
        assert!(valid.is_empty());
    }

    #[test]
    fn a_token_subprotocol_authenticates_and_is_removed() {
        let authentication = authentication();
        let (token, _) = authentication.tokens().issue_admin();
        let offered = format!(
            "v5.channel.k8s.io, {TOKEN_PROTOCOL}{}",
            URL_SAFE_NO_PAD.encode(token.expose())
        );
        let mut headers = headers(&[
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-protocol", &offered),
        ]);
        let user = authentication.authenticate(&mut headers).unwrap();
        assert_eq!(user.username, "demo-admin");
        assert_eq!(headers["sec-websocket-protocol"], "v5.channel.k8s.io");
    }

    #[test]
    fn a_token_subprotocol_is_removed_even_beside_other_credentials() {
        let authentication = authentication();
        for rest in ["", "v4.channel.k8s.io"] {
            let mut headers = headers(&[
                ("authorization", &admin_bearer(&authentication)),
                ("connection", "Upgrade"),
                ("upgrade", "websocket"),
                (
                    "sec-websocket-protocol",
                    &format!("{TOKEN_PROTOCOL}bm9wZQ, {rest}"),
                ),
            ]);
            let user = authentication.authenticate(&mut headers).unwrap();
            assert_eq!(user.username, "demo-admin");
            let remaining = headers.get("sec-websocket-protocol");
            assert_eq!(remaining.map_or("", |value| value.to_str().unwrap()), rest);
        }
    }

    #[test]
    fn impersonation_needs_a_user_name_and_an_authenticated_user() {
        let authentication = authentication();
        let mut request = headers(&[
            ("authorization", &admin_bearer(&authentication)),
            ("impersonate-user", "jane"),
            ("impersonate-group", "dev"),
            ("impersonate-group", "ops"),
            ("impersonate-extra-acme.com%2fscopes", "view"),
        ]);
        let jane = authentication.authenticate(&mut request).unwrap();
        assert_eq!(jane.username, "jane");
        assert_eq!(jane.groups, ["dev", "ops", "system:authenticated"]);
        assert_eq!(jane.extra["acme.com/scopes"], ["view"]);

        let mut groups_only = headers(&[
            ("authorization", &admin_bearer(&authentication)),
            ("impersonate-group", "dev"),
        ]);
        assert!(authentication.authenticate(&mut groups_only).is_err());
        let mut anonymous = headers(&[("impersonate-user", "jane")]);
        assert!(authentication.authenticate(&mut anonymous).is_err());
    }
}
