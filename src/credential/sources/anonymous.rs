//! No credential: requests are sent on as they arrived.

use crate::credential::{Credential, Fetch, Source};

/// The source for a user without credentials in the kubeconfig.
pub(in crate::credential) struct Anonymous;

impl Source for Anonymous {
    fn subject(&self) -> String {
        "no login".to_owned()
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(async { Ok(Credential::default()) })
    }
}
