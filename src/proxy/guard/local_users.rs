//! [`LocalUsers`]: which users of this machine may connect.
//!
//! A client acts in the cluster with the proxy's credential, and a loopback port is open to
//! every user of the machine. Only the user that runs the proxy and root, who can read its memory
//! anyway, get in by default.

use super::Refusal;

/// Root, who is always accepted.
const ROOT: u32 = 0;

/// Why the owner of the client's end of a connection is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownOwner {
    /// The socket is not on this machine's list, or is there without an inode: it is closed already,
    /// and the list then names root for every socket.
    #[error("the client has closed its end, or is not a process of this system")]
    NotListed,
    /// The system has no list of sockets, or does not let this process read it.
    #[error("the system does not tell")]
    NoList,
}

/// The users that may connect over loopback and unix sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalUsers {
    /// `--allow-any-uid`
    Any,
    /// These uids, and root.
    Only {
        /// The user that runs the proxy; `None` where its uid may stand for other users.
        own: Option<u32>,
        /// `--allow-uid`
        allowed: Vec<u32>,
    },
}

impl LocalUsers {
    /// Whether the processes of a user are trusted.
    #[must_use]
    pub fn contain(&self, uid: u32) -> bool {
        match self {
            Self::Any => true,
            Self::Only { own, allowed } => {
                uid == ROOT || *own == Some(uid) || allowed.contains(&uid)
            }
        }
    }

    /// Decides about a connection whose client's end belongs to `owner`.
    ///
    /// # Errors
    /// 403 for another user, and where the owner is not known.
    pub fn check(&self, owner: Result<u32, UnknownOwner>) -> Result<(), Refusal> {
        let Self::Only { own, .. } = self else {
            return Ok(());
        };
        match owner {
            Ok(uid) if self.contain(uid) => Ok(()),
            Ok(uid) => Err(Refusal::forbidden(
                "--allow-uid",
                format!(
                    "the user with uid {uid} opened this connection, and only the user that runs this \
                     proxy{} and root may use it; --allow-uid={uid} allows this user too",
                    own.map_or_else(String::new, |own| format!(" (uid {own})"))
                ),
            )),
            Err(unknown) => Err(Refusal::forbidden(
                "--allow-any-uid",
                format!(
                    "it is not known which user opened this connection ({unknown}), and only the user \
                     that runs this proxy and root may use it; --allow-any-uid turns this check off"
                ),
            )),
        }
        .map_err(Refusal::and_close)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(own: Option<u32>, allowed: &[u32]) -> LocalUsers {
        LocalUsers::Only {
            own,
            allowed: allowed.to_vec(),
        }
    }

    #[test]
    fn the_own_user_root_and_allowed_users_pass() {
        let users = only(Some(1000), &[33, 65534]);
        for uid in [1000, 0, 33, 65534] {
            assert_eq!(users.check(Ok(uid)), Ok(()), "{uid}");
        }
    }

    #[test]
    fn another_user_is_403_by_the_name_of_the_flag() {
        let refusal = only(Some(1000), &[33])
            .check(Ok(1001))
            .expect_err("another user");
        assert_eq!(refusal.status, http::StatusCode::FORBIDDEN);
        assert!(refusal.close);
        for part in ["uid 1001", "(uid 1000)", "--allow-uid=1001"] {
            assert!(refusal.message.contains(part), "{refusal}");
        }
    }

    #[test]
    fn an_unknown_owner_is_403_even_if_users_are_allowed() {
        for unknown in [UnknownOwner::NotListed, UnknownOwner::NoList] {
            let refusal = only(Some(0), &[65534])
                .check(Err(unknown))
                .expect_err("unknown");
            assert!(refusal.message.contains("--allow-any-uid"), "{refusal}");
        }
    }

    #[test]
    fn an_own_uid_that_may_stand_for_others_does_not_pass() {
        assert!(only(None, &[]).check(Ok(65534)).is_err());
        assert_eq!(only(None, &[]).check(Ok(0)), Ok(()));
    }

    #[test]
    fn any_user_passes_where_all_are_allowed() {
        assert_eq!(LocalUsers::Any.check(Ok(1001)), Ok(()));
        assert_eq!(LocalUsers::Any.check(Err(UnknownOwner::NoList)), Ok(()));
    }
}
