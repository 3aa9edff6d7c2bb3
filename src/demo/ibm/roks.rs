//! The cluster of type `openshift`, whose users are those of IBM Cloud.

use std::{sync::Arc, time::Duration};

use super::{
    fixtures::{self, ACCOUNT, API_KEY, IAM_USER},
    iam_state::IamState,
};
use crate::demo::{
    certificates::Authority,
    error::Error,
    https::Faults,
    openshift::{OpenShift, Options, UserDirectory},
};

/// Starts the cluster with certificates of the cloud's CA, which its users trust already.
pub(super) async fn start(
    authority: &Arc<Authority>,
    session_lifetime: Duration,
    users: Arc<CloudUsers>,
) -> Result<OpenShift, Error> {
    let options = Options {
        token_max_age: session_lifetime.as_secs(),
        ..Options::default()
    };
    let authorities = [0; 3].map(|_| authority.clone());
    OpenShift::start_with_authorities(authorities, options, Some(users)).await
}

/// Accepts an API key of the cluster's account as the password of `apikey`, and a passcode as
/// that of `passcode`.
#[derive(Debug)]
pub(super) struct CloudUsers {
    iam: Arc<IamState>,
    /// For IAM's clock, by which passcodes expire.
    iam_faults: Faults,
}

impl CloudUsers {
    pub(super) fn new(iam: Arc<IamState>, iam_faults: Faults) -> Self {
        Self { iam, iam_faults }
    }
}

impl UserDirectory for CloudUsers {
    fn authenticate(&self, name: &str, password: &str) -> Option<String> {
        let is_valid = match name {
            "apikey" => {
                let is_revoked = password == API_KEY && self.iam.is_key_revoked();
                !is_revoked && fixtures::account_of_key(password) == Some(ACCOUNT)
            }
            "passcode" => self.iam.redeem_passcode(password, self.iam_faults.now()),
            _ => false,
        };
        (is_valid && !self.iam.is_user_suspended()).then(|| IAM_USER.to_owned())
    }
}
