//! [`PoolKey`]: which connections of a pool a request may use.

/// Which connections of a pool a request may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PoolKey {
    /// HTTP/2 connections for requests that end soon.
    Short,
    /// HTTP/2 connections for requests that stay open.
    Long,
    /// HTTP/1.1 connections.
    Http1,
}

impl PoolKey {
    pub(super) const ALL: [Self; 3] = [Self::Short, Self::Long, Self::Http1];
}
