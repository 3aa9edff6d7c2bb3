//! The OAuth server: who the users are, and what each of its paths answers.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Debug,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};

use super::{
    Options, answers,
    answers::Problem,
    authorize,
    codes::Codes,
    random_text,
    sessions::{Grant, Sessions},
    token, web,
};
use crate::{
    demo::{form::Query, https::messages, random::new_uid},
    secret::Secret,
};

/// Somebody who can log in.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) uid: String,
    password: Secret,
}

/// Users who are known elsewhere.
pub(crate) trait Directory: Send + Sync + Debug {
    /// Who logs in with these, by the name that the cluster knows.
    fn user(&self, name: &str, password: &str) -> Option<String>;
}

/// All that the OAuth server knows. The API server and the registry ask it whose a token is.
#[derive(Debug)]
pub(super) struct OAuthServer {
    /// Its own URL, known once it listens.
    pub(super) issuer: OnceLock<String>,
    pub(super) sessions: Sessions,
    pub(super) codes: Codes,
    options: Mutex<Options>,
    users: Mutex<BTreeMap<String, User>>,
    /// Asked before `users`.
    directory: Option<Arc<dyn Directory>>,
    /// Who is signed in, by the cookie of their browser.
    browsers: Mutex<HashMap<String, String>>,
    logins: AtomicUsize,
    authorizations: Mutex<Vec<String>>,
}

impl OAuthServer {
    pub(super) fn new(options: Options, directory: Option<Arc<dyn Directory>>) -> Self {
        Self {
            issuer: OnceLock::new(),
            sessions: Sessions::new(),
            codes: Codes::default(),
            options: Mutex::new(options),
            users: Mutex::default(),
            directory,
            browsers: Mutex::default(),
            logins: AtomicUsize::new(0),
            authorizations: Mutex::default(),
        }
    }

    /// Answers a request; `now` is the time by this server's clock.
    pub(super) fn answer(&self, request: &Request<Bytes>, now: SystemTime) -> Response<Bytes> {
        let asked = Asked::read(request);
        match request.uri().path() {
            "/oauth/authorize" => {
                let query = request.uri().query().unwrap_or_default();
                lock(&self.authorizations).push(query.to_owned());
                authorize::answer(self, &asked, now)
            }
            "/oauth/token" => token::exchange(self, &asked, now),
            "/oauth/info" => token::info(self, &asked),
            "/oauth/token/request" => web::request_token(self),
            "/oauth/token/display" => web::display_token(self, &asked, now),
            "/oauth/token/implicit" => web::implicit(),
            "/login" => web::login(self, &asked),
            "/healthz" => answers::text(StatusCode::OK, "ok"),
            _ => answers::text(StatusCode::NOT_FOUND, "404 page not found"),
        }
    }

    /// Its URL, without a slash at its end.
    pub(super) fn url(&self) -> &str {
        self.issuer.get().map_or("", String::as_str)
    }

    pub(super) fn options(&self) -> MutexGuard<'_, Options> {
        lock(&self.options)
    }

    /// Adds somebody, or sets their password.
    pub(super) fn add_user(&self, name: &str, password: &str) {
        let mut users = lock(&self.users);
        let uid = users
            .get(name)
            .map_or_else(new_uid, |user| user.uid.clone());
        let password = Secret::new(password);
        users.insert(name.to_owned(), User { uid, password });
    }

    pub(super) fn user(&self, name: &str) -> Option<User> {
        lock(&self.users).get(name).cloned()
    }

    /// Whose name and password these are. No password is empty.
    pub(super) fn log_in(&self, name: &str, password: &str) -> Option<String> {
        if password.is_empty() {
            return None;
        }
        let elsewhere = self.directory.as_ref();
        if let Some(known) = elsewhere.and_then(|users| users.user(name, password)) {
            // What they log in with is for the directory alone to judge.
            if self.user(&known).is_none() {
                self.add_user(&known, &random_text());
            }
            return Some(known);
        }
        let user = self.user(name)?;
        (user.password.expose() == password).then(|| name.to_owned())
    }

    /// A token for a user, and its lifetime in seconds.
    pub(super) fn issue(
        &self,
        user: &str,
        client: &'static str,
        scopes: Vec<String>,
        (redirect_uri, code): (&str, Option<&str>),
        now: SystemTime,
    ) -> Option<(Secret, u64)> {
        let options = self.options().clone();
        let grant = Grant {
            uid: self.user(user)?.uid,
            user: user.to_owned(),
            client,
            scopes,
            redirect_uri: redirect_uri.to_owned(),
            code: code.map(str::to_owned),
            expires_in: options.token_max_age,
            inactivity: options.inactivity_timeout,
        };
        self.logins.fetch_add(1, Ordering::Relaxed);
        Some((self.sessions.issue(grant, now), options.token_max_age))
    }

    pub(super) fn logins(&self) -> usize {
        self.logins.load(Ordering::Relaxed)
    }

    pub(super) fn authorizations(&self) -> Vec<String> {
        lock(&self.authorizations).clone()
    }

    /// Signs a browser in: the value of its cookie.
    pub(super) fn sign_in(&self, user: &str) -> String {
        let cookie = random_text();
        lock(&self.browsers).insert(cookie.clone(), user.to_owned());
        cookie
    }

    /// Who is signed in with that cookie.
    pub(super) fn signed_in(&self, cookie: &str) -> Option<String> {
        lock(&self.browsers).get(cookie).cloned()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request, read.
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    /// Path and query.
    pub(super) target: &'a str,
    pub(super) headers: &'a HeaderMap,
    /// The form in the body, and behind it the query: the body comes first, as in Go.
    pub(super) form: Query,
}

impl<'a> Asked<'a> {
    fn read(request: &'a Request<Bytes>) -> Self {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let is_form = kind.is_some_and(|kind| {
            kind.as_bytes()
                .starts_with(b"application/x-www-form-urlencoded")
        });
        let body = if is_form { &request.body()[..] } else { b"" };
        let body = String::from_utf8_lossy(body);
        let query = request.uri().query().unwrap_or_default();
        let target = request.uri().path_and_query();
        Self {
            method: request.method(),
            target: target.map_or("/", |target| target.as_str()),
            headers: request.headers(),
            form: Query::parse(Some(&format!("{body}&{query}"))),
        }
    }

    /// A parameter; empty if it is absent.
    pub(super) fn get(&self, name: &str) -> &str {
        self.form.get(name).unwrap_or_default()
    }

    pub(super) fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        let cookies = self.header(header::COOKIE)?.split(';');
        let mut pairs = cookies.filter_map(|pair| pair.trim().split_once('='));
        pairs.find_map(|(key, value)| (key == name).then_some(value))
    }

    /// User and password of a Basic header; none if there is no such header.
    pub(super) fn basic(&self) -> Option<Result<(String, Secret), Problem>> {
        let (scheme, _) = self.header(header::AUTHORIZATION)?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let pair = messages::basic(self.headers).ok_or(Problem::InvalidRequest);
        Some(pair.map(|(user, password)| (user, Secret::new(password))))
    }
}
