//! Calls to token endpoints: only over HTTPS, with the issuer's own trusted authorities, through
//! the proxy of the environment, and bounded in time and size. Of a response's text, only the error
//! of an OAuth issuer is shown.

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
pub use url::{endpoint, https, with_query};
