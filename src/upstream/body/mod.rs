//! Bodies of requests on their way to the API server. They stream: nothing waits for their end.

mod client;
mod recording;
mod request;

pub use client::TrailerFilter;
pub(super) use client::{ClientBodyFailure, RequestBodyError};
pub use request::{Replay, RequestBody};
