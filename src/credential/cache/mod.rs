//! The cache over all kinds of sources: expiry, single flight and the last good value.
//!
//! A request takes the cached credential without a lock. From 80 % of its lifetime on the
//! credential is refreshed in the background. A request waits only while there is no valid
//! credential; all such requests share one fetch, which continues if they are dropped. After a
//! failed fetch the source is not called again until a pause has passed, and a credential that is
//! still valid is used until it expires.
//!
//! A credential that was used since its last refresh is refreshed without a request; an unused one
//! is refreshed when the next request needs it.
//!
//! All times are wall clock times, because monotonic timers stop while a machine sleeps.

pub(super) mod backoff;
mod credential_cache;
mod entry;
mod expiry_log;
mod in_flight;
mod login_files;
mod refresher;
mod state;

pub use credential_cache::Cache;
#[cfg(test)]
pub(super) use refresher::Clock;

#[cfg(test)]
mod tests;
