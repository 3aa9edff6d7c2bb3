//! IBM Cloud IAM: tokens for clusters of the IBM Cloud Kubernetes Service.
//!
//! | file | holds |
//! |---|---|
//! | [`root_credential`](RootCredential) | what a session starts from: an API key, the identity of a pod or virtual server, a saved login |
//! | `find_root` | which root credential flags and environment choose |
//! | `api_key`, `key_file`, `settings_file`, `pod_token`, `vpc` | where a root credential is read from: text, files, a virtual server's metadata service |
//! | `iam`, `refusal` | IAM's token endpoint, and its error codes |
//! | [`chain`](Chain) | the [`Source`](super::super::Source): from root credential to the cluster's token |
//! | [`cloud_access`] | the source of access tokens for IBM Cloud's services |
//! | [`cloud_session`](CloudSession) | a session for choosing an account and a cluster |
//! | [`account`](Account), `container`, [`cluster`](IbmCluster) | requests to the services for accounts and clusters, made through `services` |
//! | `roks` | the source for OpenShift clusters, which take an API key |
//! | `login` | the sources for a kubegate login and for a cluster found by its name |
//! | `kubeconfig` | the source for kubeconfigs that IBM's tools wrote |

mod account;
mod api_key;
mod chain;
mod cloud_access;
mod cloud_session;
mod cluster;
mod container;
mod endpoints;
mod error;
mod find_root;
mod iam;
mod key_file;
mod kubeconfig;
mod login;
mod names;
mod pod_token;
mod refusal;
mod roks;
mod root_credential;
mod services;
mod settings_file;
mod vpc;

pub use account::{Account, choose as choose_account};
pub use chain::Chain;
pub use cloud_access::cloud_access;
pub(in crate::credential) use cloud_access::cloud_chain;
pub use cloud_session::{CloudSession, UserProof};
pub use cluster::IbmCluster;
pub use endpoints::{Endpoints, IAM_VARIABLE, issuer};
pub use find_root::RootOptions;
pub(in crate::credential) use kubeconfig::IbmKubeconfigUser;
pub(in crate::credential) use login::source;
pub use login::{access_token, chain_from, cluster_source, default_root, endpoints, login_command};
pub(in crate::credential) use refusal::ends_session;
pub use root_credential::RootCredential;
