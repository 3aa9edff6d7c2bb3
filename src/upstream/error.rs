//! [`Error`]: why the API server sent no response.

use std::{error::Error as StdError, io, sync::Arc, time::Duration};

use http::Uri;

use super::{
    body::ClientBodyFailure,
    http1::{HeadTooLarge, MAX_HEAD},
};
use crate::{
    error::BoxError,
    tls::{self, Refusal},
};

/// Why the API server sent no response.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Its certificate was refused; nothing was sent to it.
    #[error("the certificate of {server} was refused: {refusal}")]
    Untrusted {
        /// Host and port.
        server: String,
        /// Which rule it broke.
        refusal: Box<Refusal>,
    },
    /// The server's own path and the request's are too long together.
    #[error("the path is too long with the server's own path before it")]
    PathTooLong,
    /// No connection was made in time.
    #[error("{server} did not accept a connection within {} s", .limit.as_secs_f32())]
    ConnectTimeout {
        /// Host and port.
        server: String,
        /// The time limit.
        limit: Duration,
    },
    /// The network has no route to the server now.
    #[error("cannot reach {server}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// The system's error.
        #[source]
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// No connection could be made.
    #[error("cannot connect to {server}")]
    Connect {
        /// Host and port.
        server: String,
        /// Why not.
        #[source]
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// The server speaks HTTP/1.1 alone, which carries one request on each connection, and the
    /// other requests did not end in time.
    #[error(
        "{server} speaks only HTTP/1.1 (one request per connection), and {under_way} requests to \
         it are in progress"
    )]
    Busy {
        /// Host and port.
        server: String,
        /// How many requests there are.
        under_way: usize,
    },
    /// The connection broke before a response.
    #[error("the connection to {server} broke before it answered")]
    Broken {
        /// Host and port.
        server: String,
        /// How.
        #[source]
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// The head of the response is larger than is taken. The request was probably carried out.
    #[error(
        "{server} answered with more than {max_headers} header lines, or with more than {} KiB of \
         them",
        MAX_HEAD / 1024
    )]
    HeadTooLarge {
        /// Host and port.
        server: String,
        /// The most header lines that are taken.
        max_headers: usize,
    },
    /// The server stopped answering liveness probes after the request was sent.
    #[error(
        "{server} did not answer liveness probes; the request waited {} s, and it is not known \
         whether it was carried out",
        .waited.as_secs()
    )]
    Unresponsive {
        /// Host and port.
        server: String,
        /// How long the request waited.
        waited: Duration,
    },
    /// The client's own body was aborted or malformed, so the request was abandoned.
    #[error("the request's body could not be read to its end")]
    ClientBody {
        /// hyper's error.
        #[source]
        source: Arc<hyper::Error>,
    },
}

impl Error {
    /// Host and port of the server; `None` for errors that it did not cause.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        match self {
            Self::Untrusted { server, .. }
            | Self::ConnectTimeout { server, .. }
            | Self::Unreachable { server, .. }
            | Self::Connect { server, .. }
            | Self::Busy { server, .. }
            | Self::Broken { server, .. }
            | Self::HeadTooLarge { server, .. }
            | Self::Unresponsive { server, .. } => Some(server),
            Self::PathTooLong | Self::ClientBody { .. } => None,
        }
    }

    /// Returns the fixed name of the variant. The log counts errors by it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Untrusted { .. } => "certificate refused",
            Self::PathTooLong => "path too long",
            Self::ConnectTimeout { .. } => "no connection in time",
            Self::Unreachable { .. } => "server unreachable",
            Self::Connect { .. } => "cannot connect",
            Self::Busy { .. } => "server busy",
            Self::Broken { .. } => "connection broke",
            Self::HeadTooLarge { .. } => "response head too large",
            Self::Unresponsive { .. } => "server unresponsive",
            Self::ClientBody { .. } => "client's body",
        }
    }

    /// Whether the error is over once the server can be reached again. The others depend on the
    /// requests.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Untrusted { .. }
            | Self::ConnectTimeout { .. }
            | Self::Unreachable { .. }
            | Self::Connect { .. }
            | Self::Broken { .. }
            | Self::Unresponsive { .. } => true,
            Self::PathTooLong
            | Self::Busy { .. }
            | Self::HeadTooLarge { .. }
            | Self::ClientBody { .. } => false,
        }
    }

    /// No connection could be made to the server at `address`.
    pub(super) fn connect(address: &Uri, limit: Duration, source: impl Into<BoxError>) -> Self {
        let (server, source) = (server_name(address), source.into());
        if let Some(refusal) = tls::refusal(source.as_ref()) {
            return Self::Untrusted {
                server,
                refusal: Box::new(refusal.clone()),
            };
        }
        match tls::io_error_kind(source.as_ref()) {
            Some(io::ErrorKind::TimedOut) => Self::ConnectTimeout { server, limit },
            Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
                Self::Unreachable {
                    server,
                    source: source.into(),
                }
            }
            _ => Self::Connect {
                server,
                source: tls::readable(source.into()),
            },
        }
    }

    /// A request got no response, because of the client's body or of the connection.
    pub(super) fn broken(
        address: &Uri,
        client_body: Option<&ClientBodyFailure>,
        source: Arc<dyn StdError + Send + Sync>,
    ) -> Self {
        if let Some(source) = client_body.and_then(ClientBodyFailure::get) {
            return Self::ClientBody { source };
        }
        let server = server_name(address);
        if let Some(HeadTooLarge { max_headers }) = source.downcast_ref() {
            return Self::HeadTooLarge {
                server,
                max_headers: *max_headers,
            };
        }
        Self::Broken {
            server,
            source: tls::readable(source),
        }
    }
}

/// Host and port, as errors name a server.
pub(super) fn server_name(address: &Uri) -> String {
    address
        .authority()
        .map_or_else(String::new, ToString::to_string)
}
