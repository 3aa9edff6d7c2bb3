//! IBM Cloud: a cluster by its name, and tokens that are renewed along the chain from a root
//! credential.
#![cfg(feature = "demo")]

mod cloud;
mod errors;
mod kubeconfigs;
mod logins;
mod openshift;
mod renewals;
mod root_credentials;
mod shared_logins;
mod tokens;

use self::cloud::Cloud;
