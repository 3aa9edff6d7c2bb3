//! IBM Cloud: a cluster by its name, whose tokens are renewed along the chain from a root
//! credential.

mod cloud;
mod kubeconfigs;
mod logins;
mod pretended;
mod refusals;
mod renewals;
mod roots;

use self::cloud::{Cloud, KEY};
