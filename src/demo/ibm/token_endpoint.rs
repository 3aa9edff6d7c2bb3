//! The token endpoint of IAM: its grants, and the tokens that each client gets.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, header};
use serde_json::{Value, json};

use super::{
    Cloud, claims,
    client::Client,
    fixtures::{self, ACCOUNT, API_KEY, PASSWORD, PROFILE_ID, PROFILE_NAME, USER},
    iam_error::IamError,
    iam_state::{Grant, RefreshTokenKind, Session},
};
use crate::demo::{error::Error, form::Form, https::message, jwt::seconds};

impl Cloud {
    /// The tokens for a request, or the error.
    pub(super) fn grant(
        &self,
        request: &Request<Bytes>,
        now: SystemTime,
    ) -> Result<Value, IamError> {
        if !is_form(request) {
            return Err(IamError::UnknownGrantType);
        }
        let form = message::form(request);
        let client = Client::of(request, &form)?;
        let types = form.get("response_type").unwrap_or("cloud_iam");
        let wants = |kind| types.split(' ').any(|wanted| wanted == kind);
        let delegates = wants("delegated_refresh_token");
        let (grant, session) = self.session(client, &form, !delegates, now)?;
        if delegates {
            let token = self.delegate(session, &form, now)?;
            self.iam.count(Grant::Delegate);
            return Ok(json!({ "delegated_refresh_token": token }));
        }
        self.choose_account(session, &form)?;
        let issuer = message::origin(request);
        let mut tokens = self
            .tokens(session, client, &issuer, now)
            .map_err(|_| IamError::Internal)?;
        if wants("uaa") {
            tokens["uaa_token"] = "not-a-token-any-more".into();
            tokens["uaa_refresh_token"] = "not-a-token-any-more".into();
        }
        self.iam.apply_injected_fields(&mut tokens);
        self.iam.count(grant);
        Ok(tokens)
    }

    /// The session that a grant begins or continues.
    fn session(
        &self,
        client: Client,
        form: &Form,
        spend: bool,
        now: SystemTime,
    ) -> Result<(Grant, usize), IamError> {
        let required = |field: &'static str| form.get(field).ok_or(IamError::MissingField(field));
        let begin = |grant, account| {
            let session = Session {
                grant,
                account,
                last_active: now,
            };
            (grant, self.iam.begin_session(session))
        };
        let options = self.options().clone();
        let redeem = |kind, spend| {
            let token = required("refresh_token")?;
            self.iam.redeem(token, kind, spend, &options, now)
        };
        match required("grant_type")? {
            "password" => {
                self.iam.injected_error(Grant::Password)?;
                self.check_password(required("username")?, required("password")?)?;
                Ok(begin(Grant::Password, None))
            }
            "urn:ibm:params:oauth:grant-type:apikey" => {
                self.iam.injected_error(Grant::ApiKey)?;
                let account = self.account_of_key(required("apikey")?)?;
                Ok(begin(Grant::ApiKey, Some(account)))
            }
            "urn:ibm:params:oauth:grant-type:passcode" => {
                self.iam.injected_error(Grant::Passcode)?;
                self.check_passcode(required("passcode")?, now)?;
                Ok(begin(Grant::Passcode, None))
            }
            "urn:ibm:params:oauth:grant-type:cr-token" => {
                self.iam.injected_error(Grant::ComputeResource)?;
                self.check_pod(required("cr_token")?, form, now)?;
                Ok(begin(Grant::ComputeResource, Some(ACCOUNT)))
            }
            "refresh_token" => {
                let grant = match client {
                    Client::Kube => Grant::ClusterRefresh,
                    Client::Anonymous | Client::Bx => Grant::Refresh,
                };
                self.iam.injected_error(grant)?;
                Ok((grant, redeem(RefreshTokenKind::Of(client), spend)?))
            }
            "urn:ibm:params:oauth:grant-type:delegated-refresh-token" => {
                if client != Client::Kube {
                    return Err(IamError::NotAuthorized);
                }
                self.iam.injected_error(Grant::Redeem)?;
                Ok((Grant::Redeem, redeem(RefreshTokenKind::Delegated, true)?))
            }
            _ => Err(IamError::UnknownGrantType),
        }
    }

    fn check_password(&self, user: &str, password: &str) -> Result<(), IamError> {
        if !user.eq_ignore_ascii_case(USER) || password != PASSWORD {
            return Err(IamError::WrongPassword);
        }
        self.check_user()?;
        if self.iam.requires_mfa() {
            return Err(IamError::MfaRequired);
        }
        Ok(())
    }

    fn check_user(&self) -> Result<(), IamError> {
        if self.iam.is_user_suspended() {
            return Err(IamError::UserSuspended);
        }
        Ok(())
    }

    fn account_of_key(&self, key: &str) -> Result<&'static str, IamError> {
        let is_revoked = key == API_KEY && self.iam.is_key_revoked();
        let account = fixtures::account_of_key(key).filter(|_| !is_revoked);
        let account = account.ok_or(IamError::UnknownApiKey)?;
        self.check_user()?;
        Ok(account)
    }

    fn check_passcode(&self, passcode: &str, now: SystemTime) -> Result<(), IamError> {
        if !self.iam.redeem_passcode(passcode, now) {
            return Err(IamError::InvalidPasscode);
        }
        self.check_user()
    }

    /// Checks that a pod may assume the profile that it names by ID, name or CRN.
    fn check_pod(&self, token: &str, form: &Form, now: SystemTime) -> Result<(), IamError> {
        let fields = ["profile_id", "profile_name", "profile_crn"];
        let mut named = fields
            .iter()
            .filter_map(|field| Some((*field, form.get(field)?)));
        let (field, name) = named.next().ok_or(IamError::MissingField("profile_id"))?;
        let is_known = match field {
            "profile_id" => name == PROFILE_ID,
            "profile_name" => name == PROFILE_NAME,
            _ => name.ends_with(&format!(":a/{ACCOUNT}::profile:{PROFILE_ID}")),
        };
        if !is_known {
            return Err(IamError::UnknownProfile);
        }
        let claims = self.pod_signer.unexpired_claims(token, now);
        claims.map(|_| ()).ok_or(IamError::InvalidToken)
    }

    /// Sets the account of a session that the form names; `account` is the newer field name. The
    /// account of an API key or a profile cannot be chosen.
    fn choose_account(&self, session: usize, form: &Form) -> Result<(), IamError> {
        let Some(id) = form.get("bss_account").or_else(|| form.get("account")) else {
            return Ok(());
        };
        let grant = self.iam.session(session).map(|session| session.grant);
        if let Some(Grant::Password | Grant::Passcode) = grant {
            let account = fixtures::account(id).ok_or(IamError::NotAuthorized)?;
            self.iam.choose_account(session, account);
        }
        Ok(())
    }

    /// Issues a delegated refresh token, which the client `kube` can redeem.
    fn delegate(&self, session: usize, form: &Form, now: SystemTime) -> Result<String, IamError> {
        let receivers = form.get("receiver_client_ids");
        let receivers = receivers.ok_or(IamError::MissingField("receiver_client_ids"))?;
        if !receivers.split(',').any(|receiver| receiver == "kube") {
            return Err(IamError::NotAuthorized);
        }
        let field = "delegated_refresh_token_expiry";
        let seconds = form.number(field).ok_or(IamError::MissingField(field))?;
        let lifetime = Duration::from_secs(seconds).min(self.options().delegated_token);
        let kind = RefreshTokenKind::Delegated;
        Ok(self.iam.issue_refresh_token(session, kind, now + lifetime))
    }

    /// Issues the tokens of a login by the user's API key.
    pub(super) fn issue_login(
        &self,
        client: Client,
        issuer: &str,
        now: SystemTime,
    ) -> Result<Value, Error> {
        let session = self.iam.begin_session(Session {
            grant: Grant::ApiKey,
            account: Some(ACCOUNT),
            last_active: now,
        });
        self.tokens(session, client, issuer, now)
    }

    /// Issues tokens for clusters in exchange for a refresh token of the command line, which
    /// stays valid.
    pub(super) fn kube_tokens(&self, refresh_token: &str, now: SystemTime) -> Option<Value> {
        let kind = RefreshTokenKind::Of(Client::Bx);
        let options = self.options().clone();
        let session = self.iam.redeem(refresh_token, kind, false, &options, now);
        let issuer = self.iam_url.get()?;
        self.tokens(session.ok()?, Client::Kube, issuer, now).ok()
    }

    pub(super) fn tokens(
        &self,
        session: usize,
        client: Client,
        issuer: &str,
        now: SystemTime,
    ) -> Result<Value, Error> {
        let details = self.iam.session(session).ok_or(Error::Random)?;
        let options = self.options().clone();
        let expires_in = options.access_token.as_secs();
        let access = claims::access(&details, client, issuer, now, options.access_token);
        let is_refreshable = client != Client::Anonymous && details.grant != Grant::ComputeResource;
        let refresh_token = if is_refreshable {
            let kind = RefreshTokenKind::Of(client);
            let expires_at = now + options.refresh_token;
            self.iam.issue_refresh_token(session, kind, expires_at)
        } else {
            "not_supported".to_owned()
        };
        let mut tokens = json!({
            "access_token": self.signer.sign(&access)?,
            "refresh_token": refresh_token,
            "token_type": "Bearer",
            "expires_in": expires_in,
            "expiration": seconds(now) + expires_in,
            "scope": claims::scope(client),
        });
        if client == Client::Kube {
            let id = claims::id(&details, issuer, now, options.id_token);
            tokens["id_token"] = self.signer.sign(&id)?.into();
        }
        Ok(tokens)
    }
}

fn is_form(request: &Request<Bytes>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value == "application/x-www-form-urlencoded")
}
