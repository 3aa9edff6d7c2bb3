//! The handlers of requests.

pub(crate) mod app_proxy;
pub(crate) mod delete;
pub(crate) mod discovery;
pub(crate) mod openapi;
pub(crate) mod pod_streams;
pub(crate) mod probes;
pub(crate) mod read;
pub(crate) mod review;
pub(crate) mod scale;
pub(crate) mod service_account_secret;
pub(crate) mod token_request;
pub(crate) mod watch;
pub(crate) mod watch_websocket;
pub(crate) mod write;
