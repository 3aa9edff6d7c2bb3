//! Flags and environment as types. A bad value is reported by the name of its flag.

mod browser;
mod connection;
pub mod file;
mod grant;
mod ibm;
mod login;
mod oidc;
mod path_prefix;
mod patterns;
mod proxy;
mod route;
mod running_proxy;
mod service_account;
mod tls;
mod upstream;
mod upstream_header;
mod values;

pub use browser::BrowserFlags;
pub use connection::ConnectionFlags;
pub use grant::{GrantFlags, GrantType, MachineGrant};
pub use ibm::{IbmEndpoint, IbmFlags, IbmTargetFlags};
pub use login::{Login, OpenshiftFiles, OpenshiftFlags};
pub(crate) use oidc::checked_extra_params;
pub use oidc::{OidcFlags, extra_params};
pub use patterns::Patterns;
pub use proxy::{ClientCredentials, DEFAULT_PORT, ProxyFlags, UnixSocket};
pub use route::Route;
pub use running_proxy::{RunningProxyAddress, RunningProxyFlags, reachable_ip};
pub use service_account::{Namespaced, ServiceAccountFlags};
pub use tls::TlsFlags;
pub use upstream::UpstreamFlags;
pub use upstream_header::{HeaderSource, UpstreamHeader};
#[cfg(feature = "demo")]
pub(crate) use values::duration;
pub(crate) use values::{exec_api_version, go_bool};
