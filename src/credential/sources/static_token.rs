//! `token`: a bearer token in the kubeconfig or from `--token`.

use http::HeaderValue;

use crate::{
    credential::{Credential, Error, Fetch, Source, protocol::authorization},
    secret::Secret,
};

/// A token that never changes.
pub(in crate::credential) struct StaticToken(HeaderValue);

impl StaticToken {
    pub(in crate::credential) fn new(user: Option<&str>, token: &Secret) -> Result<Self, Error> {
        let subject = || match user {
            Some(user) => format!("the token of user {user:?}"),
            None => "the token".to_owned(),
        };
        authorization::bearer_of(token.expose(), subject).map(Self)
    }
}

impl Source for StaticToken {
    fn subject(&self) -> String {
        "the token".to_owned()
    }

    fn fetch(&self) -> Fetch<'_> {
        let authorization = Some(self.0.clone());
        Box::pin(async {
            Ok(Credential {
                authorization,
                ..Credential::default()
            })
        })
    }
}
