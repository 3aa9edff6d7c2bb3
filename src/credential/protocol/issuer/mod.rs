//! Calls to token endpoints: HTTPS alone, with the issuer's own trust, through the proxy that
//! the environment names, bounded in time and size. What an issuer answers is never shown.

mod call_policy;
mod client;
mod error;
mod form;
mod response;
mod url;

pub use call_policy::{CallPolicy, set_call_policy, with_timeout};
pub use client::Issuer;
pub(in crate::credential) use client::{API_SERVER, IBM_CLOUD};
pub use error::IssuerError;
pub use form::form_encoded;
pub use response::Response;
pub(in crate::credential) use response::StreamingResponse;
pub use url::https;
