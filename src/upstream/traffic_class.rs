//! [`TrafficClass`]: what is to be expected of a request, and so which connections it travels on.

/// What is to be expected of a request's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficClass {
    /// It is small and comes soon.
    Short,
    /// It may be large: a list, a log, whatever a pod or a service serves.
    Bulk,
    /// It stays open: a watch, a log that is followed.
    Long,
}

/// What is spoken with a server that speaks both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

impl TrafficClass {
    /// Streams cost least on connections that they share. Large answers need no second flow
    /// control between ours and TCP's, and hold up nothing where they have a connection alone.
    pub(super) fn protocol(self) -> Protocol {
        match self {
            Self::Short | Self::Long => Protocol::Http2,
            Self::Bulk => Protocol::Http1,
        }
    }
}
