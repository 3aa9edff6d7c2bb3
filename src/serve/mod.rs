//! The server: listens, accepts connections, drains them at the end, and applies changes of the
//! configuration while it runs.

mod active_target;
mod connection;
mod connection_limit;
mod connection_state;
mod context_set;
mod context_source;
mod deferred_target;
mod early_response;
mod encoding_io;
mod file_watcher;
mod head_memory;
mod head_timeout;
mod header_files;
mod http2;
mod https;
mod inherited;
mod lazy_target;
mod lingering_close;
mod listen_error;
mod listener;
mod listening_process;
mod peer_check;
mod reject;
mod reload;
mod server;
mod server_io;
mod signals;
mod socket_folder;
#[cfg(target_os = "linux")]
mod socket_owner;
mod target_encoder;
mod target_source;
mod token_file;
mod unencoded_hash;
mod unix_socket;
mod watch_response;
mod workers;

pub use context_set::ContextSet;
pub use context_source::{ContextSource, FoundContext, FoundContexts};
pub use deferred_target::DeferredTarget;
pub use header_files::{HeaderFileError, HeaderFiles};
pub use https::{CertificateFiles, Certificates, HttpsError, HttpsListener, SelfSigned, Serves};
pub use listen_error::Error;
pub use listener::{Accepted, Address, Listener};
pub use listening_process::ListeningProcess;
pub use peer_check::{PeerCheck, uid_of_server};
pub use reload::Reloader;
pub use server::run;
pub use signals::{ReloadSignals, ShutdownSignals};
pub use socket_folder::{default_socket, make_private};
pub use target_source::{MakeUpstream, ResolvedTarget, TargetFuture, TargetSource};
pub use token_file::{TokenFile, TokenFileError};
pub use workers::count as worker_count;
