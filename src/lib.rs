//! kubegate: an authenticating reverse proxy for Kubernetes API servers.
//!
//! It verifies the server's certificate, puts a fresh credential on every request, and passes
//! watches, WebSocket connections and SPDY straight through. `docs/architecture.md` draws the path
//! of a request and of a credential, and says where to look for what; `docs/glossary.md` explains
//! the words, and `docs/decisions/` the choices that may surprise.
//!
//! # Modules
//!
//! A module imports modules above it in this table, never below.
//!
//! | module | |
//! |---|---|
//! | [`secret`] | holds secrets: redacted in `Debug`, wiped on drop |
//! | [`printable`], [`shell`] | show text from elsewhere, on a terminal and in a command line |
//! | [`mod@error`], [`jitter`], [`hex`] | the boxed error type and its text; random delays; hexadecimal digits |
//! | [`console`] | writes to standard output and standard error |
//! | [`kubeconfig`] | reads, merges, selects from and edits kubeconfig files |
//! | [`tls`] | decides which servers are trusted, and prepares client certificates |
//! | [`dial`] | connects to a host: TCP, proxies, TLS |
//! | [`credential`] | turns a kubeconfig user into a credential and keeps it fresh |
//! | [`upstream`] | one API server: its connections and their health |
//! | [`proxy`] | one request: the stack of layers |
//! | [`login`] | logins of people |
//! | [`serve`] | listeners, workers, client connections, drain and reload |
//! | `demo` | an embedded control plane, to try and to test against |
//! | [`cli`] | one file per command |
//!
//! [`settings`] (flags and environment), [`telemetry`] (log), [`descriptors`] (limit of open files),
//! [`activation`] (sockets that systemd hands over), [`core_dumps`] and [`signals`] are outside this
//! order. [`proxy`] and [`login`] do not import each other, so that the proxy cannot open a browser;
//! only [`cli`] and tests import `demo`. A test reads the imports and fails on one that runs the other
//! way.

#[cfg(feature = "demo")]
pub mod demo;

pub mod activation;
pub mod cli;
pub mod console;
pub mod core_dumps;
pub mod credential;
pub mod descriptors;
pub mod dial;
pub mod error;
pub mod hex;
pub mod jitter;
pub mod kubeconfig;
pub mod login;
pub mod printable;
pub mod proxy;
pub mod secret;
pub mod serve;
pub mod settings;
pub mod shell;
pub mod signals;
pub mod telemetry;
pub mod tls;
pub mod upstream;
