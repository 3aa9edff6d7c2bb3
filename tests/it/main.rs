//! The promises of the whole, one file each, in one binary over the compiled program.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod authorization;
mod browsers;
mod command;
mod commands;
mod credentials;
mod crowds;
mod demo;
mod drain;
mod faults;
mod filters;
mod first_request;
mod forwarding;
mod framing;
mod heads;
mod house;
mod http2;
mod ibm;
mod ibm_clusters;
mod idle;
mod issuer_faults;
mod kubeconfig;
mod logins;
mod oidc;
mod openshift;
mod proxies;
mod registry;
mod reload;
mod rotations;
mod secrets;
mod service_accounts;
mod streaming;
mod support;
mod trust;
mod unprocessed;
mod upgrades;
