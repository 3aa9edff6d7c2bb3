//! [`TrafficClass`]: what to expect of a response, which decides on the connection it uses.

/// What to expect of a response. Requests of different classes use different connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficClass {
    /// It is small and comes soon.
    Short,
    /// It may be large: a list, a log, or whatever a pod or a service serves.
    Bulk,
    /// It stays open: a watch, or a log that is followed.
    Long,
}
