//! Authentication at the clusters of type `kubernetes`: they accept the ID tokens that IAM issues
//! for `kube`.

use std::{sync::Arc, time::SystemTime};

use super::{
    claims::KUBE,
    fixtures::{ACCOUNT, STAGING_ACCOUNT},
};
use crate::demo::{
    jwt::Signer,
    kubernetes::{authentication::user_info::UserInfo, vendor::VendorExtension},
};

#[derive(Debug)]
pub(super) struct IksAuthenticator(Arc<Signer>);

impl IksAuthenticator {
    pub(super) fn new(signer: Arc<Signer>) -> Self {
        Self(signer)
    }
}

impl VendorExtension for IksAuthenticator {
    fn authenticate(&self, token: &str, now: SystemTime) -> Option<UserInfo> {
        let claims = self.0.unexpired_claims(token, now)?;
        let account = claims["account"]["bss"].as_str()?;
        if claims["aud"] != KUBE || ![ACCOUNT, STAGING_ACCOUNT].contains(&account) {
            return None;
        }
        let subject = claims["sub"].as_str()?;
        // The names of users are e-mail addresses, in lower case here. The IDs of profiles stay
        // as they are.
        let name = match claims.get("email") {
            Some(_) => subject.to_lowercase(),
            None => subject.to_owned(),
        };
        Some(UserInfo::authenticated(format!("IAM#{name}"), Vec::new()))
    }
}
