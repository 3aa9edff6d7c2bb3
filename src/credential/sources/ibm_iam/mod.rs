//! IBM Cloud: from a root credential to what a cluster of its Kubernetes Service takes.
//!
//! | file | holds |
//! |---|---|
//! | [`root_credential`](RootCredential) | API key, a pod's token, a saved login: what a session can begin with again |
//! | `key_file`, `pod_token` | the files that a root reads |
//! | `iam` | the token endpoint: what is given for what; `refusal`: why it says no |
//! | [`chain`](Chain) | the [`Source`]: root, session, delegated token, the cluster's token |
//! | [`session`](CloudSession) | a session for a human: choosing an account and a cluster |
//! | [`account`](Account), `container`, [`cluster`](IbmCluster) | the accounts, the clusters, and one of them; by way of `services` |
//! | `roks` | sessions of OpenShift clusters, from an API key |
//! | `login` | the sources for a login of our own and for a cluster that was looked up |
//! | `kubeconfig` | kubeconfigs that IBM's own tools wrote |

mod account;
mod chain;
mod cloud_session;
mod cluster;
mod container;
mod endpoints;
mod error;
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

pub use account::{Account, choose as choose_account};
pub use chain::Chain;
pub use cloud_session::{CloudSession, UserProof};
pub use cluster::IbmCluster;
pub use endpoints::{Endpoints, IAM_VARIABLE, issuer};
pub(in crate::credential) use kubeconfig::IbmKubeconfigUser;
pub(in crate::credential) use login::source;
pub use login::{cluster_source, default_chain, endpoints, login_command};
pub(in crate::credential) use refusal::ends_session;
pub use root_credential::{RootCredential, RootOptions};
