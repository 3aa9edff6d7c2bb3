//! The grants of IAM's token endpoint, and what each client gets for them.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use super::{
    Cloud,
    book::{Grant, Kind, Session},
    claims,
    people::{self, ACCOUNT, API_KEY, PASSWORD, PROFILE_ID, PROFILE_NAME, USER},
    refusal::Refusal,
};
use crate::demo::{Error, form::Query, https::messages, jwt::seconds};

/// Who asks, by Basic authentication or in the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// Nobody: gets no refresh token.
    Nameless,
    /// `bx:bx`, the command line.
    Bx,
    /// `kube:kube`: gets ID tokens that clusters take.
    Kube,
}

impl Client {
    fn of(request: &Request<Bytes>, form: &Query) -> Result<Self, Refusal> {
        let by_form = || {
            let id = form.get("client_id")?.to_owned();
            Some((id, form.get("client_secret").unwrap_or("").to_owned()))
        };
        let proof = messages::basic_client(request.headers()).or_else(by_form);
        match proof.as_ref().map(|(id, secret)| (&id[..], &secret[..])) {
            None => Ok(Self::Nameless),
            Some(("bx", "bx")) => Ok(Self::Bx),
            Some(("kube", "kube")) => Ok(Self::Kube),
            Some(_) => Err(Refusal::NotAuthorized),
        }
    }
}

impl Cloud {
    /// What a request for tokens is granted.
    pub(super) fn grant(
        &self,
        request: &Request<Bytes>,
        now: SystemTime,
    ) -> Result<Value, Refusal> {
        let form = messages::form(request);
        let client = Client::of(request, &form)?;
        let types = form.get("response_type").unwrap_or("cloud_iam");
        let wants = |kind| types.split(' ').any(|wanted| wanted == kind);
        let delegate = wants("delegated_refresh_token");
        let (grant, session) = self.session(client, &form, !delegate, now)?;
        if delegate {
            let token = self.delegate(session, &form, now)?;
            self.book.count(Grant::Delegate);
            return Ok(json!({ "delegated_refresh_token": token }));
        }
        self.choose_account(session, &form)?;
        let issuer = messages::origin(request);
        let mut tokens = self
            .tokens(session, client, &issuer, now)
            .map_err(|_| Refusal::Broken)?;
        if wants("uaa") {
            tokens["uaa_token"] = "not-a-token-any-more".into();
            tokens["uaa_refresh_token"] = "not-a-token-any-more".into();
        }
        self.book.count(grant);
        Ok(tokens)
    }

    /// The session that a grant opens or goes on with.
    fn session(
        &self,
        client: Client,
        form: &Query,
        spend: bool,
        now: SystemTime,
    ) -> Result<(Grant, usize), Refusal> {
        let needed = |field: &'static str| form.get(field).ok_or(Refusal::Missing(field));
        let open = |grant, account| {
            let session = Session {
                grant,
                account,
                last_active: now,
            };
            (grant, self.book.open(session))
        };
        let redeem = |kind, spend| {
            let token = needed("refresh_token")?;
            self.book.redeem(token, kind, spend, &self.options, now)
        };
        match needed("grant_type")? {
            "password" => {
                self.check_password(needed("username")?, needed("password")?)?;
                Ok(open(Grant::Password, None))
            }
            "urn:ibm:params:oauth:grant-type:apikey" => {
                let account = self.account_of_key(needed("apikey")?)?;
                Ok(open(Grant::ApiKey, Some(account)))
            }
            "urn:ibm:params:oauth:grant-type:passcode" => {
                self.check_passcode(needed("passcode")?, now)?;
                Ok(open(Grant::Passcode, None))
            }
            "urn:ibm:params:oauth:grant-type:cr-token" => {
                self.check_pod(needed("cr_token")?, form, now)?;
                Ok(open(Grant::ComputeResource, Some(ACCOUNT)))
            }
            "refresh_token" => Ok((Grant::Refresh, redeem(Kind::Refresh(client), spend)?)),
            "urn:ibm:params:oauth:grant-type:delegated-refresh-token" => {
                if client != Client::Kube {
                    return Err(Refusal::NotAuthorized);
                }
                Ok((Grant::Redeem, redeem(Kind::Delegated, true)?))
            }
            _ => Err(Refusal::UnknownGrant),
        }
    }

    fn check_password(&self, user: &str, password: &str) -> Result<(), Refusal> {
        if !user.eq_ignore_ascii_case(USER) || password != PASSWORD {
            return Err(Refusal::WrongPassword);
        }
        self.check_user()?;
        if self.book.requires_mfa() {
            return Err(Refusal::Mfa);
        }
        Ok(())
    }

    fn check_user(&self) -> Result<(), Refusal> {
        if self.book.is_suspended() {
            return Err(Refusal::Suspended);
        }
        Ok(())
    }

    fn account_of_key(&self, key: &str) -> Result<&'static str, Refusal> {
        let revoked = key == API_KEY && self.book.is_key_revoked();
        let account = people::account_of_key(key).filter(|_| !revoked);
        let account = account.ok_or(Refusal::UnknownApiKey)?;
        self.check_user()?;
        Ok(account)
    }

    fn check_passcode(&self, passcode: &str, now: SystemTime) -> Result<(), Refusal> {
        if !self.book.redeem_passcode(passcode, now) {
            return Err(Refusal::InvalidPasscode);
        }
        self.check_user()
    }

    /// Whether a pod is the profile that it names by id, name or CRN.
    fn check_pod(&self, token: &str, form: &Query, now: SystemTime) -> Result<(), Refusal> {
        let ways = ["profile_id", "profile_name", "profile_crn"];
        let mut named = ways.iter().filter_map(|way| Some((*way, form.get(way)?)));
        let (way, name) = named.next().ok_or(Refusal::Missing("profile_id"))?;
        let known = match way {
            "profile_id" => name == PROFILE_ID,
            "profile_name" => name == PROFILE_NAME,
            _ => name.ends_with(&format!(":a/{ACCOUNT}::profile:{PROFILE_ID}")),
        };
        if !known {
            return Err(Refusal::UnknownProfile);
        }
        let pod = self.pods.living_claims(token, now);
        pod.map(|_| ()).ok_or(Refusal::InvalidToken)
    }

    /// The account that the form asks for: `account` is the newer name. An API key's and a
    /// profile's are what they are.
    fn choose_account(&self, session: usize, form: &Query) -> Result<(), Refusal> {
        let Some(asked) = form.get("bss_account").or_else(|| form.get("account")) else {
            return Ok(());
        };
        let grant = self.book.session(session).map(|session| session.grant);
        if let Some(Grant::Password | Grant::Passcode) = grant {
            let account = people::account(asked).ok_or(Refusal::NotAuthorized)?;
            self.book.choose_account(session, account);
        }
        Ok(())
    }

    fn delegate(&self, session: usize, form: &Query, now: SystemTime) -> Result<String, Refusal> {
        let receivers = form.get("receiver_client_ids");
        let receivers = receivers.ok_or(Refusal::Missing("receiver_client_ids"))?;
        if !receivers.split(',').any(|receiver| receiver == "kube") {
            return Err(Refusal::NotAuthorized);
        }
        let asked = form.number("delegated_refresh_token_expiry");
        let longest = self.options.delegated_token;
        let lifetime = asked.map_or(longest, |asked| Duration::from_secs(asked).min(longest));
        Ok(self.book.issue(session, Kind::Delegated, now + lifetime))
    }

    /// A login by the user's API key.
    pub(super) fn issue_login(
        &self,
        client: Client,
        issuer: &str,
        now: SystemTime,
    ) -> Result<Value, Error> {
        let session = self.book.open(Session {
            grant: Grant::ApiKey,
            account: Some(ACCOUNT),
            last_active: now,
        });
        self.tokens(session, client, issuer, now)
    }

    /// Tokens for clusters, for who shows a refresh token of the command line.
    pub(super) fn kube_tokens(&self, shown: &str, now: SystemTime) -> Option<Value> {
        let kind = Kind::Refresh(Client::Bx);
        let session = self.book.redeem(shown, kind, false, &self.options, now);
        let issuer = self.iam_url.get()?;
        self.tokens(session.ok()?, Client::Kube, issuer, now).ok()
    }

    fn tokens(
        &self,
        session: usize,
        client: Client,
        issuer: &str,
        now: SystemTime,
    ) -> Result<Value, Error> {
        let whose = self.book.session(session).ok_or(Error::Random)?;
        let (options, expires_in) = (&self.options, self.options.access_token.as_secs());
        let access = claims::access(&whose, client, issuer, now, options.access_token);
        let refreshable = client != Client::Nameless && whose.grant != Grant::ComputeResource;
        let refresh_token = if refreshable {
            let ends = now + options.refresh_token;
            self.book.issue(session, Kind::Refresh(client), ends)
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
            let id = claims::id(&whose, issuer, now, options.id_token);
            tokens["id_token"] = self.signer.sign(&id)?.into();
        }
        Ok(tokens)
    }
}
