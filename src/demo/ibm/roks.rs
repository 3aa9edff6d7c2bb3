//! The cluster of type `openshift`: an `OpenShift` whose users are IBM Cloud's.

use std::{sync::Arc, time::Duration};

use super::{
    book::Book,
    people::{self, ACCOUNT, API_KEY, IAM_USER},
};
use crate::demo::{
    Error,
    certificates::Authority,
    https::Faults,
    openshift::{Directory, OpenShift, Options},
};

/// Starts it, with certificates that everybody trusts who trusts the cloud's.
pub(super) async fn start(
    authority: &Arc<Authority>,
    session: Duration,
    users: Arc<Users>,
) -> Result<OpenShift, Error> {
    let options = Options {
        token_max_age: session.as_secs(),
        ..Options::default()
    };
    let authorities = [0; 3].map(|_| authority.clone());
    OpenShift::start_under(authorities, options, Some(users)).await
}

/// Who logs in with an API key of the cluster's account, or with a passcode.
#[derive(Debug)]
pub(super) struct Users {
    book: Arc<Book>,
    /// The clock of IAM, which checks them.
    iam: Faults,
}

impl Users {
    pub(super) fn new(book: Arc<Book>, iam: Faults) -> Self {
        Self { book, iam }
    }
}

impl Directory for Users {
    fn user(&self, name: &str, password: &str) -> Option<String> {
        let known = match name {
            "apikey" => {
                let revoked = password == API_KEY && self.book.is_key_revoked();
                !revoked && people::account_of_key(password) == Some(ACCOUNT)
            }
            "passcode" => self.book.redeem_passcode(password, self.iam.now()),
            _ => false,
        };
        (known && !self.book.is_suspended()).then(|| IAM_USER.to_owned())
    }
}
