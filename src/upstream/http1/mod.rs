//! HTTP/1.1 to the API server: connections that carry one request at a time.

mod connection;
mod request;
mod request_body;

pub(super) use connection::{
    Connection, ConnectionState, HeadTooLarge, MAX_HEAD, MAX_HEADERS, MORE_HEADERS, UpgradeFailure,
    upgrade,
};
