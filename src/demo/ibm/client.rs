//! The OAuth clients of IAM.

use bytes::Bytes;
use http::Request;

use super::iam_error::IamError;
use crate::demo::{form::Form, https::message};

/// The OAuth client, named by Basic authentication or in the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// No client is named. It gets no refresh token.
    Anonymous,
    /// `bx:bx`, IBM's command line.
    Bx,
    /// `kube:kube`. It gets ID tokens, which clusters accept.
    Kube,
}

impl Client {
    pub(super) fn of(request: &Request<Bytes>, form: &Form) -> Result<Self, IamError> {
        let by_form = || {
            let id = form.get("client_id")?.to_owned();
            Some((id, form.get("client_secret").unwrap_or("").to_owned()))
        };
        let credentials = message::basic_client(request.headers()).or_else(by_form);
        match credentials
            .as_ref()
            .map(|(id, secret)| (&id[..], &secret[..]))
        {
            None => Ok(Self::Anonymous),
            Some(("bx", "bx")) => Ok(Self::Bx),
            Some(("kube", "kube")) => Ok(Self::Kube),
            Some(_) => Err(IamError::NotAuthorized),
        }
    }
}
