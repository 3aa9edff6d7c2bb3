//! HTTP/2 to the API server, through the h2 crate itself: no task, channel or contended lock
//! stands between a request and its stream.

mod connection;
mod ping;
mod request_body;
mod response_body;
mod send;

pub(super) use connection::{Connection, INITIAL_MAX_STREAMS, Stream};
pub(super) use response_body::ResponseBody;
pub(super) use send::send;

#[cfg(test)]
mod tests;
