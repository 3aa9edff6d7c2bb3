//! [`ProxyConnection`]: a connection to a kubegate that serves.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{AUTHORIZATION, HOST},
};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{
    cli::proxy::{listen, local_users},
    credential::store::Store,
    printable::excerpt,
    proxy::guard::LocalUsers,
    secret::Secret,
    serve::uid_of_server,
    settings::RunningProxyFlags,
    tls::{Trust, client_config},
};

/// How long connecting and each request may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest response, in bytes.
const MAX_RESPONSE: usize = 64 * 1024;
/// How much of a refusal is shown, in characters.
const MAX_MESSAGE: usize = 500;

/// A connection to a kubegate that serves.
pub(super) struct ProxyConnection {
    name: String,
    scheme: &'static str,
    host: HeaderValue,
    sender: SendRequest<Empty<Bytes>>,
    /// A TCP connection without TLS, whose server is checked before it gets a token.
    tcp: Option<std::net::TcpStream>,
    is_loopback: bool,
    /// Whose server may get the token.
    users: LocalUsers,
}

impl ProxyConnection {
    /// Connects to the kubegate that the flags name.
    pub(super) async fn connect(flags: &RunningProxyFlags) -> anyhow::Result<Self> {
        let allowed = flags.allow_uid.iter();
        let allowed = allowed.map(|name| local_users::uid(name.trim()));
        let users = LocalUsers::Only {
            own: Some(rustix::process::geteuid().as_raw()),
            allowed: allowed.collect::<anyhow::Result<_>>()?,
        };
        let host = HeaderValue::try_from(flags.host())?;
        let (name, sender, tcp) = if let Some(socket) = flags.unix_socket() {
            let path = listen::socket_path(socket)?;
            let name = path.display().to_string();
            (name, over_unix(&path).await?, None)
        } else {
            let name = format!("{}://{}", flags.scheme(), flags.server());
            let stream = connect(flags.server(), &name).await?;
            if flags.is_https() {
                // Its certificate says who serves.
                (name, over_tls(flags, stream).await?, None)
            } else {
                let stream = stream.into_std()?;
                let other = stream.try_clone()?;
                let sender = sender(TcpStream::from_std(stream)?).await?;
                (name, sender, Some(other))
            }
        };
        Ok(Self {
            name,
            scheme: flags.scheme(),
            host,
            sender,
            tcp,
            is_loopback: flags.server().ip().is_loopback(),
            users,
        })
    }

    /// The scheme of its origins.
    pub(super) fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// Where it serves, for messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Sends a POST request without a body, and returns the response's body. The token is sent only if it
    /// is demanded. Nobody but a process of this user, root, or a user of `--allow-uid` gets it, or is
    /// believed.
    pub(super) async fn post(
        &mut self,
        target: &str,
        token: Option<&Secret>,
    ) -> anyhow::Result<Bytes> {
        let (status, body) = self.send(target, None).await?;
        let (status, body) = match token {
            Some(token) if status == StatusCode::UNAUTHORIZED => {
                self.check_server("would get your token")?;
                self.send(target, Some(token)).await?
            }
            _ if status.is_success() => {
                self.check_server("would get what your browser sends")?;
                (status, body)
            }
            _ => (status, body),
        };
        if status.is_success() {
            return Ok(body);
        }
        if status == StatusCode::UNAUTHORIZED && token.is_none() {
            bail!("{} requires a token; give it by --token-file", self.name);
        }
        bail!("{} refuses: {status}: {}", self.name, message(&body));
    }

    async fn send(
        &mut self,
        target: &str,
        token: Option<&Secret>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let mut request = Request::post(target).header(HOST, &self.host);
        if let Some(token) = token {
            let value = HeaderValue::try_from(format!("Bearer {}", token.expose()));
            let mut value = value.context("--token-file: the token has a forbidden character")?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(Empty::new())?;
        let exchange = async {
            self.sender.ready().await?;
            let response: Response<Incoming> = self.sender.send_request(request).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_RESPONSE).collect().await;
            let body = body.map_err(anyhow::Error::from_boxed)?;
            anyhow::Ok((head.status, body.to_bytes()))
        };
        let unanswered = || {
            format!(
                "{} does not answer as kubegate does; give the address of one",
                self.name
            )
        };
        let exchanged = timeout(TIMEOUT, exchange).await;
        exchanged.with_context(unanswered)?.with_context(unanswered)
    }

    /// Checks whose process serves. `danger` says what another user's would do.
    fn check_server(&self, danger: &str) -> anyhow::Result<()> {
        let Some(stream) = &self.tcp else {
            return Ok(());
        };
        match uid_of_server(stream) {
            Some(uid) if self.users.contain(uid) => Ok(()),
            Some(uid) => bail!(
                "a process of the user with uid {uid} serves at {}, and {danger}; if that is meant, give \
                 --allow-uid={uid}",
                self.name
            ),
            None if cfg!(target_os = "macos") && self.is_loopback => Ok(()),
            None => bail!(
                "it is not known which user serves at {}, and another {danger}; let the proxy \
                 serve https (--tls-self-signed) or listen on a unix socket (--unix-socket)",
                self.name
            ),
        }
    }
}

async fn connect(address: SocketAddr, name: &str) -> anyhow::Result<TcpStream> {
    let stream = timeout(TIMEOUT, TcpStream::connect(address)).await;
    flat(stream)
        .with_context(|| format!("no kubegate serves at {name}; start one, or give its --port"))
}

async fn over_tls(
    flags: &RunningProxyFlags,
    stream: TcpStream,
) -> anyhow::Result<SendRequest<Empty<Bytes>>> {
    let file = match &flags.tls_ca {
        Some(file) => file.clone(),
        None => Store::of_user(&|name| std::env::var_os(name))?.authority_file(),
    };
    let unreadable = || format!("cannot read the CA of the proxy in {}", file.display());
    let ca = std::fs::read(&file).with_context(unreadable)?;
    let trust = Trust::roots(&ca, &file.display().to_string())?;
    let connector = TlsConnector::from(Arc::new(client_config(&trust, None)));
    let server = ServerName::IpAddress(flags.server().ip().into());
    let stream = timeout(TIMEOUT, connector.connect(server, stream)).await;
    let stream = flat(stream).with_context(|| {
        format!(
            "https://{} does not prove itself by the CA in {}",
            flags.server(),
            file.display()
        )
    })?;
    sender(stream).await
}

async fn over_unix(path: &Path) -> anyhow::Result<SendRequest<Empty<Bytes>>> {
    let stream = timeout(TIMEOUT, UnixStream::connect(path)).await;
    let stream = flat(stream)
        .with_context(|| format!("no kubegate serves at --unix-socket {}", path.display()))?;
    sender(stream).await
}

fn flat<T>(outcome: Result<io::Result<T>, tokio::time::error::Elapsed>) -> io::Result<T> {
    outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn sender(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> anyhow::Result<SendRequest<Empty<Bytes>>> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // It ends with the command. An error is that of the request too.
    tokio::spawn(connection);
    Ok(sender)
}

/// Returns the message of a `Status`, or the beginning of another text.
fn message(body: &[u8]) -> String {
    let status = serde_json::from_slice::<serde_json::Value>(body).ok();
    let message = status
        .as_ref()
        .and_then(|status| status["message"].as_str());
    let text = String::from_utf8_lossy(body);
    excerpt(message.unwrap_or(&text), MAX_MESSAGE)
}
