//! The state of the OAuth server: its users, browsers, codes and sessions.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Debug,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use super::{
    codes::Codes,
    options::Options,
    sessions::{Grant, Sessions},
};
use crate::{
    demo::random::{new_token, new_uuid},
    secret::Secret,
};

/// A user who can log in.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) uid: String,
    password: Secret,
    /// Wrong passwords since the last right one.
    wrong: u32,
}

/// Users that another system authenticates.
pub(crate) trait UserDirectory: Send + Sync + Debug {
    /// The user's name at the cluster, if the name and the password given are valid.
    fn authenticate(&self, name: &str, password: &str) -> Option<String>;
}

/// The state of the OAuth server. The API server asks it to authenticate tokens.
#[derive(Debug)]
pub(super) struct OAuthServer {
    /// Its URL, set once it listens.
    pub(super) issuer: OnceLock<String>,
    pub(super) sessions: Sessions,
    pub(super) codes: Codes,
    options: Mutex<Options>,
    users: Mutex<BTreeMap<String, User>>,
    /// Is asked before `users`.
    directory: Option<Arc<dyn UserDirectory>>,
    /// Users who are logged in with a browser, by cookie.
    browsers: Mutex<HashMap<String, String>>,
    logins: AtomicUsize,
    wrong_passwords: AtomicUsize,
    /// The queries of the requests to `/oauth/authorize`.
    authorizations: Mutex<Vec<String>>,
}

impl OAuthServer {
    pub(super) fn new(options: Options, directory: Option<Arc<dyn UserDirectory>>) -> Self {
        Self {
            issuer: OnceLock::new(),
            sessions: Sessions::new(),
            codes: Codes::default(),
            options: Mutex::new(options),
            users: Mutex::default(),
            directory,
            browsers: Mutex::default(),
            logins: AtomicUsize::new(0),
            wrong_passwords: AtomicUsize::new(0),
            authorizations: Mutex::default(),
        }
    }

    /// Its URL, without a trailing slash.
    pub(super) fn url(&self) -> &str {
        self.issuer.get().map_or("", String::as_str)
    }

    pub(super) fn options(&self) -> MutexGuard<'_, Options> {
        lock(&self.options)
    }

    /// Adds a user, or sets the password of an existing one and unlocks its account.
    pub(super) fn add_user(&self, name: &str, password: &str) {
        let mut users = lock(&self.users);
        let uid = users
            .get(name)
            .map_or_else(new_uuid, |user| user.uid.clone());
        let password = Secret::new(password);
        let user = User {
            uid,
            password,
            wrong: 0,
        };
        users.insert(name.to_owned(), user);
    }

    pub(super) fn user(&self, name: &str) -> Option<User> {
        lock(&self.users).get(name).cloned()
    }

    /// The user's name at the cluster, if the name and the password given are valid. An empty
    /// password never is.
    pub(super) fn log_in(&self, name: &str, password: &str) -> Option<String> {
        if password.is_empty() {
            return None;
        }
        let directory = self.directory.as_ref();
        if let Some(user) = directory.and_then(|users| users.authenticate(name, password)) {
            // Only the directory authenticates this user, so the password here is random.
            if self.user(&user).is_none() {
                self.add_user(&user, &new_token());
            }
            return Some(user);
        }
        let lock_after = self.options().lock_after;
        let mut users = lock(&self.users);
        let user = users.get_mut(name)?;
        let is_locked = lock_after > 0 && user.wrong >= lock_after;
        let is_right = user.password.expose() == password;
        if is_right && !is_locked {
            user.wrong = 0;
            return Some(name.to_owned());
        }
        if !is_right {
            user.wrong += 1;
            self.wrong_passwords.fetch_add(1, Ordering::Relaxed);
        }
        None
    }

    pub(super) fn wrong_passwords(&self) -> usize {
        self.wrong_passwords.load(Ordering::Relaxed)
    }

    /// Issues a token to a user. Returns it with its lifetime in seconds.
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

    /// Records the query of a request to `/oauth/authorize`.
    pub(super) fn record_authorization(&self, query: &str) {
        lock(&self.authorizations).push(query.to_owned());
    }

    pub(super) fn authorizations(&self) -> Vec<String> {
        lock(&self.authorizations).clone()
    }

    /// Logs a user in with a browser. Returns the value of its cookie.
    pub(super) fn log_in_browser(&self, user: &str) -> String {
        let cookie = new_token();
        lock(&self.browsers).insert(cookie.clone(), user.to_owned());
        cookie
    }

    /// The user who is logged in with this cookie.
    pub(super) fn browser_user(&self, cookie: &str) -> Option<String> {
        lock(&self.browsers).get(cookie).cloned()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
