//! [`StaticHeader`]: a `token`, or `username` and `password`, of the kubeconfig or the flags.

use http::HeaderValue;

use crate::{
    credential::{Credential, Error, Fetch, Source, protocol::authorization},
    secret::Secret,
};

const TOKEN: &str = "the token";
const PASSWORD: &str = "user name and password";

/// A value of `Authorization` that never changes.
pub(in crate::credential) struct StaticHeader {
    /// What it is made of.
    subject: &'static str,
    value: HeaderValue,
}

impl StaticHeader {
    /// A bearer token of `user`.
    pub(in crate::credential) fn bearer(user: Option<&str>, token: &Secret) -> Result<Self, Error> {
        let subject = || match user {
            Some(user) => format!("the token of user {user:?}"),
            None => TOKEN.to_owned(),
        };
        Ok(Self {
            subject: TOKEN,
            value: authorization::bearer_of(token.expose(), subject)?,
        })
    }

    /// HTTP basic authentication of `user`.
    pub(in crate::credential) fn basic(
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
        let subject = || PASSWORD.to_owned();
        Ok(Self {
            subject: PASSWORD,
            value: authorization::basic(username, password.expose(), subject)?,
        })
    }
}

impl Source for StaticHeader {
    fn subject(&self) -> String {
        self.subject.to_owned()
    }

    fn fetch(&self) -> Fetch<'_> {
        let authorization = Some(self.value.clone());
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
        let basic = StaticHeader::basic(None, "test", &Secret::new("123£")).unwrap();
        assert_eq!(basic.value, "Basic dGVzdDoxMjPCow==");
        assert!(basic.value.is_sensitive());
    }

    #[test]
    fn a_colon_is_allowed_in_the_password_but_not_in_the_name() {
        assert!(StaticHeader::basic(None, "a", &Secret::new("b:c")).is_ok());
        let error = StaticHeader::basic(Some("admin"), "a:b", &Secret::new("hunter2"))
            .err()
            .unwrap();
        assert!(error.to_string().contains("admin"), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}
