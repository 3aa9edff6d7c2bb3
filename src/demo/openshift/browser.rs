//! A minimal browser, with which tests log in on the OAuth server's pages.

use std::{collections::BTreeMap, time::SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};

use super::{oauth_routes, oauth_server::OAuthServer};
use crate::demo::form;

/// The number of redirects after which it gives up.
const MAX_REDIRECTS: usize = 10;

/// Opens a URL of the OAuth server, fills in the login form if there is one, and follows redirects
/// until one leads to another server. Returns the URL of that one.
pub(super) fn log_in(
    server: &OAuthServer,
    url: &str,
    (user, password): (&str, &str),
    now: SystemTime,
) -> Option<String> {
    let mut browser = Browser {
        server,
        cookies: BTreeMap::new(),
        now,
    };
    let mut location = url.to_owned();
    let mut is_logged_in = false;
    for _ in 0..MAX_REDIRECTS {
        let Some(path) = browser.path(&location) else {
            return Some(location);
        };
        let page = browser.open(Method::GET, path, String::new())?;
        let page = if path.starts_with("/login?") && !is_logged_in {
            is_logged_in = true;
            let html = std::str::from_utf8(page.body()).ok()?;
            let form = form::encode(&[
                ("csrf", &field(html, "csrf")?),
                ("password", password),
                ("then", &field(html, "then")?.replace("&amp;", "&")),
                ("username", user),
            ]);
            browser.open(Method::POST, "/login", form)?
        } else {
            page
        };
        page.headers()
            .get(header::LOCATION)?
            .to_str()
            .ok()?
            .clone_into(&mut location);
    }
    None
}

struct Browser<'a> {
    server: &'a OAuthServer,
    cookies: BTreeMap<String, String>,
    now: SystemTime,
}

impl Browser<'_> {
    /// The path and query of a URL of this server; `None` if it is another server's.
    fn path<'a>(&self, url: &'a str) -> Option<&'a str> {
        let path = url.strip_prefix(self.server.url()).unwrap_or(url);
        path.starts_with('/').then_some(path)
    }

    fn open(&mut self, method: Method, path: &str, form: String) -> Option<Response<Bytes>> {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.server.url()))
            .header(header::ACCEPT, "text/html")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::COOKIE, cookies.join("; "))
            .body(Bytes::from(form))
            .ok()?;
        let response = oauth_routes::respond(self.server, &request, self.now);
        let cookies = response.headers().get_all(header::SET_COOKIE).iter();
        let cookies =
            cookies.filter_map(|value: &HeaderValue| value.to_str().ok()?.split(';').next());
        for (name, value) in cookies.filter_map(|pair| pair.split_once('=')) {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        Some(response)
    }
}

/// The value of a hidden field of a form.
fn field(html: &str, name: &str) -> Option<String> {
    let (_, rest) = html.split_once(&format!("name=\"{name}\" value=\""))?;
    rest.split('"').next().map(str::to_owned)
}
