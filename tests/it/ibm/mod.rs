//! IBM Cloud: a cluster by its name, and tokens that are renewed along the chain from a root
//! credential.
#![cfg(feature = "demo")]

mod accounts;
mod cloud;
mod contexts;
mod endpoints;
mod errors;
mod keys;
mod kubeconfigs;
mod logins;
mod openshift;
mod registry;
mod renewals;
mod root_credentials;
mod shared_logins;
mod tokens;
mod virtual_servers;

use self::cloud::Cloud;
