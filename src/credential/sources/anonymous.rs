//! Nobody: requests go out as they came.

use crate::credential::{Credential, Fetch, Source};

/// A user of whom the kubeconfig says nothing.
pub(in crate::credential) struct Anonymous;

impl Source for Anonymous {
    fn subject(&self) -> String {
        "no login".to_owned()
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(async { Ok(Credential::default()) })
    }
}
