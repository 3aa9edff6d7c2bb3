//! `username` and `password`: HTTP basic authentication.

use http::HeaderValue;

use crate::{
    credential::{Credential, Error, Fetch, Source, protocol::authorization},
    secret::Secret,
};

/// A user name and password that never change.
pub(in crate::credential) struct Basic(HeaderValue);

impl Basic {
    pub(in crate::credential) fn new(
        user: Option<&str>,
        username: &str,
        password: &Secret,
    ) -> Result<Self, Error> {
        // RFC 7617, section 2: "a user-id containing a colon character is invalid, as the first
        // colon in a user-pass string separates user-id and password".
        if username.contains(':') {
            return Err(Error::ColonInUsername {
                user: user.unwrap_or_default().to_owned(),
            });
        }
        let subject = || "user name and password".to_owned();
        authorization::basic(username, password.expose(), subject).map(Self)
    }
}

impl Source for Basic {
    fn subject(&self) -> String {
        "user name and password".to_owned()
    }

    fn fetch(&self) -> Fetch<'_> {
        let authorization = Some(self.0.clone());
        Box::pin(async {
            Ok(Credential {
                authorization,
                ..Credential::default()
            })
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The example of RFC 7617, section 2.1, which is UTF-8.
    #[test]
    fn name_and_password_are_encoded_as_utf_8() {
        let basic = Basic::new(None, "test", &Secret::new("123£")).unwrap();
        assert_eq!(basic.0, "Basic dGVzdDoxMjPCow==");
        assert!(basic.0.is_sensitive());
    }

    #[test]
    fn a_colon_is_allowed_in_the_password_but_not_in_the_name() {
        assert!(Basic::new(None, "a", &Secret::new("b:c")).is_ok());
        let error = Basic::new(Some("admin"), "a:b", &Secret::new("hunter2"))
            .err()
            .unwrap();
        assert!(error.to_string().contains("admin"), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}
