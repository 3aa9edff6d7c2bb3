//! The simulated app: serves the files of the config map that has its name, a login with a cookie, and a
//! WebSocket. Like Grafana and Jupyter it refuses requests whose `Origin` is not its own `Host`.

use std::path::Path;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use crate::demo::{form::Form, kubernetes::websocket_handshake};

/// The media type of its pages.
pub(super) const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// A request as the app gets it.
pub(super) struct AppRequest<'a> {
    /// The service or pod.
    pub(super) name: &'a str,
    pub(super) path: &'a str,
    /// The host that the app sees.
    pub(super) host: &'a str,
    pub(super) head: &'a Parts,
    pub(super) body: &'a Bytes,
    /// The data of its config map.
    pub(super) files: Option<&'a Value>,
    pub(super) upgrade: OnUpgrade,
}

impl AppRequest<'_> {
    fn header(&self, name: &header::HeaderName) -> &str {
        let value = self.head.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The user of the session cookie.
    fn user(&self) -> Option<&str> {
        let mut cookies = self.header(&header::COOKIE).split(';').map(str::trim);
        cookies.find_map(|cookie| cookie.strip_prefix("session="))
    }

    fn is_of_another_origin(&self) -> bool {
        let origin = self.header(&header::ORIGIN);
        let host = origin.split_once("://").map_or("", |(_, host)| host);
        !origin.is_empty() && host != self.host
    }
}

/// Responds to a request.
pub(super) fn respond(request: AppRequest<'_>) -> Response<String> {
    if request.is_of_another_origin() {
        return text(StatusCode::FORBIDDEN, "origin not allowed");
    }
    let is_post = request.head.method == Method::POST;
    match request.path {
        "/login" if is_post => login(&request),
        "/logout" if is_post => {
            let mut response = redirect("/");
            set_cookie(&mut response, "session=; Path=/; Max-Age=0");
            response
        }
        "/private" => match request.user() {
            Some(user) => page(&format!("<h1>Welcome {}</h1>", escaped(user))),
            None => redirect("/"),
        },
        "/cookies" => text(StatusCode::OK, request.header(&header::COOKIE)),
        "/socket" => socket(request),
        path => file(&request, path),
    }
}

/// Sets a cookie as an app does that takes its host for the whole of its site, and redirects to its
/// absolute address.
fn login(request: &AppRequest<'_>) -> Response<String> {
    let form = Form::parse(std::str::from_utf8(request.body).ok());
    let user: String = form.get("user").unwrap_or("nobody").to_owned();
    let user: String = user.chars().filter(char::is_ascii_alphanumeric).collect();
    let mut response = redirect(&format!("https://{}/private", request.host));
    let cookie = format!("session={user}; Path=/; Domain=svc.localhost; HttpOnly; SameSite=Lax");
    set_cookie(&mut response, &cookie);
    response
}

fn file(request: &AppRequest<'_>, path: &str) -> Response<String> {
    let name = path.trim_start_matches('/');
    let name = if name.is_empty() { "index.html" } else { name };
    match request.files.and_then(|files| files[name].as_str()) {
        Some(content)
            if Path::new(name)
                .extension()
                .is_some_and(|ending| ending == "js") =>
        {
            let mut response = Response::new(content.to_owned());
            let script = HeaderValue::from_static("text/javascript");
            response.headers_mut().insert(header::CONTENT_TYPE, script);
            response
        }
        Some(content) => page(content),
        None if name == "index.html" => page(&format!(
            "<h1>{}</h1>\n<form method=post action=\"/login\"><input name=user aria-label=User> \
             <button>Log in</button></form>\n<p><a href=\"/private\">Private</a></p>",
            escaped(request.name)
        )),
        None => text(StatusCode::NOT_FOUND, "no such page"),
    }
}

/// Sends each message back, with the user of the session before it.
fn socket(request: AppRequest<'_>) -> Response<String> {
    let Some(user) = request.user().map(str::to_owned) else {
        return text(StatusCode::UNAUTHORIZED, "log in first");
    };
    let accepted = websocket_handshake::accept(&request.head.headers, None);
    let response = match accepted {
        Ok(response) => response.map(|_| String::new()),
        Err(problem) => return text(StatusCode::BAD_REQUEST, problem),
    };
    tokio::spawn(echo(request.upgrade, user));
    response
}

async fn echo(upgrade: OnUpgrade, user: String) {
    let Ok(upgraded) = upgrade.await else {
        return;
    };
    let io = TokioIo::new(upgraded);
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Text(text) = message {
            let echoed = Message::text(format!("{user}: {text}"));
            if socket.send(echoed).await.is_err() {
                return;
            }
        }
    }
}

fn page(content: &str) -> Response<String> {
    let page = if content.starts_with("<!") {
        content.to_owned()
    } else {
        format!("<!doctype html>\n<meta charset=utf-8>\n{content}\n")
    };
    let mut response = Response::new(page);
    response.headers_mut().insert(header::CONTENT_TYPE, HTML);
    response
}

fn text(code: StatusCode, text: &str) -> Response<String> {
    let mut response = Response::new(text.to_owned());
    *response.status_mut() = code;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

fn redirect(location: &str) -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn set_cookie(response: &mut Response<String>, cookie: &str) {
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
