//! What makes a control plane one of IBM's: it takes the ID tokens that IAM issues for `kube`.

use std::{sync::Arc, time::SystemTime};

use super::{
    claims::KUBE,
    people::{ACCOUNT, STAGING_ACCOUNT},
};
use crate::demo::{
    jwt::Signer,
    kubernetes::{authentication::user_info::Identity, vendor::Flavor},
};

#[derive(Debug)]
pub(super) struct Kube(Arc<Signer>);

impl Kube {
    pub(super) fn new(signer: Arc<Signer>) -> Self {
        Self(signer)
    }
}

impl Flavor for Kube {
    fn identify(&self, token: &str, now: SystemTime) -> Option<Identity> {
        let claims = self.0.living_claims(token, now)?;
        let account = claims["account"]["bss"].as_str()?;
        if claims["aud"] != KUBE || ![ACCOUNT, STAGING_ACCOUNT].contains(&account) {
            return None;
        }
        let name = claims["sub"].as_str()?;
        // Users are e-mail addresses, in lower case; the ids of profiles are as they are.
        let name = match claims.get("email") {
            Some(_) => name.to_lowercase(),
            None => name.to_owned(),
        };
        Some(Identity::authenticated(format!("IAM#{name}"), Vec::new()))
    }
}
