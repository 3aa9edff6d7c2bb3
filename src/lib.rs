//! One local door to every cluster.
//!
//! kubegate is an authenticating reverse proxy for Kubernetes API servers. It verifies the
//! server's certificate, puts a fresh credential on every request, and passes watches,
//! WebSocket connections and SPDY straight through.
//!
//! # The rooms
//!
//! | room | asks |
//! |---|---|
//! | [`secret`] | what must not be shown |
//! | [`printable`] | how text from outside is shown |
//! | [`shell`] | how text from outside stands in a command line |
//! | [`console`] | what is written to standard output and standard error |
//! | [`kubeconfig`] | what the file says |
//! | [`tls`] | whom we trust |
//! | [`dial`] | how we reach a host |
//! | [`credential`] | how a user becomes a credential |
//! | [`upstream`] | one API server |
//! | [`proxy`] | one request: a file a layer |
//! | [`login`] | what a login needs of a human |
//! | [`serve`] | our own door |
//! | [`cli`] | a file a command |
//! | `demo` | a pretend control plane, to try against and to test against |
//!
//! Imports run one way: `secret` <- `kubeconfig` <- `tls` <- `dial` <- `credential` <-
//! `upstream` <- {`proxy`, `login`} <- `serve` <- `cli` <- `main`. [`settings`] (flags and
//! environment) stands on `secret` and `kubeconfig` and is read from `credential` upwards,
//! [`telemetry`], [`descriptors`] (how many files may be open) and [`core_dumps`] stand on nothing. The proxy
//! cannot ask anybody: `proxy` and `login` never meet. Only `cli` and tests know `demo`. A test
//! reads the imports and fails on one that runs the other way.
//!
//! # The path of a request
//!
//! A connection is accepted by [`serve`], given to one of its lanes (a thread with a runtime, a
//! stack and an [`upstream::Upstream`] of its own), and spoken to in HTTP/1.1. Each request
//! passes the stack that [`proxy::stack`] builds, in the order in which it is written there: sensitive
//! headers and trace, respond, guard (who asks), CORS, route, guard (what is asked), sandbox,
//! `hop_by_hop`; and then the layers that stand for one destination, which a reload replaces:
//! impersonate, authorize, forward. Its [`upstream::Kind`] then leads it to a pooled
//! connection: short requests and those that stay open travel over HTTP/2, apart from each other,
//! and what may be large over HTTP/1.1, where the server speaks both. The answer returns the same
//! way. Bodies are never buffered, but for what a replay may need: after a 401, or where the
//! server certainly did nothing with the request.
//!
//! A pool's circuit knows whether the server can be reached: while it cannot, requests are told
//! so at once and one task looks whether it is back. Its upkeep, one task too, closes
//! connections that are idle or old, and tells a server that is frozen from one that is slow.
//!
//! An upgrade takes the same layers and then an HTTP/1.1 connection of its own, made by the
//! same dialer and checked by the same verifier; after a valid 101 the two byte streams are
//! joined. Upkeep watches over that connection too.
//!
//! # The path of a credential
//!
//! [`kubeconfig::resolve`] chooses a [`kubeconfig::User`]; [`credential::from_user`] makes the
//! [`credential::Source`] for it; [`credential::Cache`] fetches, shares and renews; the
//! authorize layer puts the header on. A client certificate goes with the request to
//! [`upstream`], where each certificate has connections of its own: one that was replaced is
//! used no more, and what runs on its connections ends there.
//!
//! A login of our own is an `exec` entry that runs `kubegate credential`. [`login`] makes it: the
//! kubeconfig gets the entry, whose words are all that is not secret ([`settings::Login`]), and
//! [`credential::store`], the state folder, the rest. kubectl runs the command;
//! [`credential::from_user`] knows the words and takes the same [`credential::Source`] without
//! running anything ([`credential::saved_login::source`]). Whatever renews a login re-reads, renews and saves
//! in its turn among kubegates.
//!
//! A [`serve::Plan`] finds what to proxy to, at the start and again when a file that says so has
//! another content, or on SIGHUP. [`serve::Standing`] compares, keeps what is the same, and has
//! [`proxy::ReloadHandle`] lead new requests to the rest.
//!
//! # What may surprise
//!
//! - The guard, `hop_by_hop` and impersonate are no layers of their own: one frame,
//!   `proxy::head_filter`, carries every judgement of a request's head.
//! - The guard judges twice: who asks comes before routing, what is asked after it.
//! - A request that brings its own credential travels over connections made without our
//!   client certificate: the API server would believe the certificate and ignore the token.
//! - Below hyper's server, [`serve`] encodes what is raw in the target of a request: hyper refuses
//!   a request whose target is no URI before any layer sees it.
//! - HTTP/2 to the server is spoken through the h2 crate itself: hyper's client has a task and a
//!   channel between each request and its stream, no PING of ours, and errors that do not say
//!   what the server did nothing with.
//! - Nothing is shared between lanes, so each has connections of its own to the server. Who makes
//!   one or two connections to us finds those of the first lane.
//! - A watch leaves hyper when its answer begins, and a tunnel after its 101: hyper keeps 16 KiB
//!   of buffers for each, and a quiet one needs none. A watch is therefore the last exchange on
//!   its client's connection.
//! - A server that says nothing but answers a PING, or another handshake, is waited for without
//!   end: nothing limits how long an answer may take.
//! - The system's roots are read with rustls-native-certs and judged by the same verifier as
//!   a cluster's own CA, so that a refusal always says why.

#[cfg(feature = "demo")]
pub mod demo;

pub mod cli;
pub mod console;
pub mod core_dumps;
pub mod credential;
pub mod descriptors;
pub mod dial;
pub mod kubeconfig;
pub mod login;
pub mod printable;
pub mod proxy;
pub mod secret;
pub mod serve;
pub mod settings;
pub mod shell;
pub mod telemetry;
pub mod tls;
pub mod upstream;
