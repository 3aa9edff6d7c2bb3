//! A browser in miniature, so that a test can log in by the web.

use std::{collections::BTreeMap, time::SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};

use super::{answers, oauth::OAuthServer};

/// More redirects than that are a loop.
const REDIRECTS: usize = 10;

/// Opens `url` of the OAuth server, signs in where asked to, and follows redirects until they
/// leave the server.
pub(super) fn sign_in(
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
    let mut place = url.to_owned();
    let mut signed_in = false;
    for _ in 0..REDIRECTS {
        let Some(path) = browser.path(&place) else {
            return Some(place);
        };
        let page = browser.open(Method::GET, path, String::new())?;
        let page = if path.starts_with("/login?") && !signed_in {
            signed_in = true;
            let html = std::str::from_utf8(page.body()).ok()?;
            let form = answers::form(&[
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
            .clone_into(&mut place);
    }
    None
}

struct Browser<'a> {
    server: &'a OAuthServer,
    cookies: BTreeMap<String, String>,
    now: SystemTime,
}

impl Browser<'_> {
    /// The path and query of a URL of the server's.
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
        let response = self.server.answer(&request, self.now);
        let set = response.headers().get_all(header::SET_COOKIE).iter();
        let set = set.filter_map(|value: &HeaderValue| value.to_str().ok()?.split(';').next());
        for (name, value) in set.filter_map(|pair| pair.split_once('=')) {
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
