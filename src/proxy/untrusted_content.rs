//! [`UntrustedContent`]: marks requests whose response the API server itself may not have written.

/// Among the extensions of a request whose response comes, or may come, from an app, a log or an
/// aggregated API server.
// Independent flags, except that `proxied` implies `certain`.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Copy, Debug)]
pub(super) struct UntrustedContent {
    /// The request is passed on to a server behind the API server.
    pub(super) proxied: bool,
    /// A browser sent the request.
    pub(super) browser: bool,
    /// `--trust-proxied-pages`, or the app has an origin of its own.
    pub(super) trusted: bool,
    /// Whether the request alone shows that the content is untrusted. If false, the response's media
    /// type decides.
    pub(super) certain: bool,
}

impl UntrustedContent {
    /// Whether a client's cookies are passed on. The API server itself sets none. A browser has one
    /// cookie jar for a host, whatever the port and path: it may hold the session of another app, or
    /// of another server on this machine.
    pub(super) fn takes_cookies(self) -> bool {
        self.proxied && (self.trusted || !self.browser)
    }
}
