//! Who sends a request: the owner of a bearer token, or nobody.

pub(crate) mod tokens;
pub(crate) mod user_info;

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use percent_encoding::percent_decode_str;

use crate::demo::kubernetes::{
    authentication::{tokens::Tokens, user_info::Identity},
    encoding::status::Status,
    vendor::Flavor,
    websocket_handshake,
};

/// The subprotocol by which a browser's WebSocket brings a bearer token.
const TOKEN_PROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";

/// Judges credentials.
#[derive(Debug)]
pub(crate) struct Authentication {
    tokens: Tokens,
    flavor: Option<Arc<dyn Flavor>>,
}

impl Authentication {
    pub(crate) fn new(tokens: Tokens, flavor: Option<Arc<dyn Flavor>>) -> Self {
        Self { tokens, flavor }
    }

    pub(crate) fn flavor(&self) -> Option<&dyn Flavor> {
        self.flavor.as_deref()
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Who a request acts as. A bearer token that is wrong is 401; none at all, or a credential
    /// of another scheme, which nothing here judges, is anonymous.
    ///
    /// Credentials are taken out of the headers, as nothing behind may see them.
    pub(crate) fn identify(&self, headers: &mut HeaderMap) -> Result<Identity, Status> {
        let by_protocol = token_protocol(headers);
        let token = match headers.remove(header::AUTHORIZATION) {
            Some(value) => bearer(&value),
            None => by_protocol?,
        };
        let user = match token {
            Some(token) => self.owner(&token).ok_or_else(Status::unauthorized)?,
            None => Identity::anonymous(),
        };
        impersonate(headers, user)
    }

    /// Whose token this is, by anybody's books.
    pub(crate) fn owner(&self, token: &str) -> Option<Identity> {
        let now = SystemTime::now();
        let ours = self.tokens.identify(token, now);
        ours.or_else(|| self.flavor.as_ref()?.identify(token, now))
    }
}

fn bearer(value: &HeaderValue) -> Option<String> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    let is_bearer = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty();
    is_bearer.then(|| token.to_owned())
}

/// Takes the bearer token out of the subprotocols of a WebSocket handshake, whether it is good or
/// not. There must be one other subprotocol, which can be answered to the client.
fn token_protocol(headers: &mut HeaderMap) -> Result<Option<String>, Status> {
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
    let (Ok(left), [token], [_, ..]) = (
        HeaderValue::from_str(&others.join(", ")),
        &tokens[..],
        &others[..],
    ) else {
        return Err(Status::unauthorized());
    };
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, left);
    let token = URL_SAFE_NO_PAD.decode(&token[TOKEN_PROTOCOL.len()..]).ok();
    let token = token.and_then(|bytes| String::from_utf8(bytes).ok());
    token.map(Some).ok_or_else(Status::unauthorized)
}

/// Applies `Impersonate-User`, `-Uid`, `-Group` and `-Extra-*`.
fn impersonate(headers: &HeaderMap, user: Identity) -> Result<Identity, Status> {
    let all = |name: &str| -> Vec<String> {
        let values = headers.get_all(name).iter();
        values
            .filter_map(|value| value.to_str().ok().map(str::to_owned))
            .collect()
    };
    let extra = extra(headers);
    let groups = all("impersonate-group");
    let uid = all("impersonate-uid").into_iter().next();
    let Some(name) = all("impersonate-user").into_iter().next() else {
        if groups.is_empty() && uid.is_none() && extra.is_empty() {
            return Ok(user);
        }
        let message = "Internal Server Error: requested attributes without impersonating a user";
        return Err(Status::internal(message));
    };
    if user.is_anonymous() {
        let what = format!(
            "User {:?} cannot impersonate resource \"users\" in API group \"\" at the cluster scope",
            user.username
        );
        return Err(Status::forbidden(None, &what));
    }
    let uid = uid.unwrap_or_default();
    Ok(Identity::impersonated(name, uid, groups, extra))
}

/// `Impersonate-Extra-Scopes: a` is `{"scopes": ["a"]}`; the key may be percent-encoded.
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

    fn admins(authentication: &Authentication) -> String {
        format!(
            "Bearer {}",
            authentication.tokens().issue_admin().0.expose()
        )
    }

    #[test]
    fn no_credential_is_anonymous_and_a_wrong_one_unauthorized() {
        let authentication = authentication();
        let nobody = authentication.identify(&mut HeaderMap::new()).unwrap();
        assert!(nobody.is_anonymous());
        for unjudged in ["Basic bm9wZTpub3Bl", "Digest x", "Bearer", "Bearer "] {
            let mut headers = headers(&[("authorization", unjudged)]);
            let nobody = authentication.identify(&mut headers).unwrap();
            assert!(nobody.is_anonymous() && headers.is_empty(), "{unjudged}");
        }
        let mut wrong = headers(&[("authorization", "Bearer nope")]);
        assert!(authentication.identify(&mut wrong).is_err());
        let mut right = headers(&[("authorization", &admins(&authentication))]);
        let admin = authentication.identify(&mut right).unwrap();
        assert_eq!(admin.username, "demo-admin");
        assert!(right.is_empty());
    }

    #[test]
    fn a_token_subprotocol_logs_in_and_is_taken_out() {
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
        let user = authentication.identify(&mut headers).unwrap();
        assert_eq!(user.username, "demo-admin");
        assert_eq!(headers["sec-websocket-protocol"], "v5.channel.k8s.io");
    }

    #[test]
    fn a_token_subprotocol_is_taken_out_even_where_another_credential_counts() {
        let authentication = authentication();
        for rest in ["", "v4.channel.k8s.io"] {
            let mut headers = headers(&[
                ("authorization", &admins(&authentication)),
                ("connection", "Upgrade"),
                ("upgrade", "websocket"),
                (
                    "sec-websocket-protocol",
                    &format!("{TOKEN_PROTOCOL}bm9wZQ, {rest}"),
                ),
            ]);
            let user = authentication.identify(&mut headers).unwrap();
            assert_eq!(user.username, "demo-admin");
            let left = headers.get("sec-websocket-protocol");
            assert_eq!(left.map_or("", |left| left.to_str().unwrap()), rest);
        }
    }

    #[test]
    fn impersonation_changes_the_user_and_needs_one() {
        let authentication = authentication();
        let mut request = headers(&[
            ("authorization", &admins(&authentication)),
            ("impersonate-user", "jane"),
            ("impersonate-group", "dev"),
            ("impersonate-group", "ops"),
            ("impersonate-extra-acme.com%2fscopes", "view"),
        ]);
        let jane = authentication.identify(&mut request).unwrap();
        assert_eq!(jane.username, "jane");
        assert_eq!(jane.groups, ["dev", "ops", "system:authenticated"]);
        assert_eq!(jane.extra["acme.com/scopes"], ["view"]);

        let mut groups_only = headers(&[
            ("authorization", &admins(&authentication)),
            ("impersonate-group", "dev"),
        ]);
        assert!(authentication.identify(&mut groups_only).is_err());
        let mut nobody = headers(&[("impersonate-user", "jane")]);
        assert!(authentication.identify(&mut nobody).is_err());
    }
}
