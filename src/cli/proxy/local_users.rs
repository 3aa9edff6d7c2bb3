//! Which users of this machine may connect.

use std::{fs, process::Command};

use anyhow::bail;

use crate::{proxy::guard::LocalUsers, settings::ProxyFlags};

/// The uid that stands for every user outside of a user namespace, unless the system says otherwise.
const OVERFLOW_UID: u32 = 65534;
/// The uid map of a process that is in no user namespace but the first: every uid is itself.
const WHOLE_MAP: [&str; 3] = ["0", "0", "4294967295"];

/// Returns the users that the flags allow. In a pod, by its own account, everyone: the pod is the
/// boundary, and its containers run as several users.
pub(super) fn of_flags(flags: &ProxyFlags, is_pod: bool) -> anyhow::Result<LocalUsers> {
    let names = flags.allow_uid.iter().map(|name| name.trim());
    let allowed = names.map(uid).collect::<anyhow::Result<Vec<_>>>()?;
    if flags.allow_any_uid || (is_pod && allowed.is_empty()) {
        return Ok(LocalUsers::Any);
    }
    let own = rustix::process::geteuid().as_raw();
    let own = (own != overflow_uid() || sees_every_uid()).then_some(own);
    Ok(LocalUsers::Only { own, allowed })
}

fn overflow_uid() -> u32 {
    let text = fs::read_to_string("/proc/sys/kernel/overflowuid").unwrap_or_default();
    text.trim().parse().unwrap_or(OVERFLOW_UID)
}

/// Whether the process is in no user namespace, so that the overflow uid is a user like any other.
fn sees_every_uid() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_ascii_whitespace().eq(WHOLE_MAP)
}

/// Returns the uid of a user by its number or name.
pub(in crate::cli) fn uid(user: &str) -> anyhow::Result<u32> {
    if let Ok(uid) = user.parse() {
        return Ok(uid);
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    match in_passwd(&users, user).or_else(|| by_id(user)) {
        Some(uid) => Ok(uid),
        None => bail!("--allow-uid {user:?}: no user of this name is known; give the uid"),
    }
}

/// Returns the uid in the text of `/etc/passwd` (passwd(5)).
fn in_passwd(users: &str, name: &str) -> Option<u32> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

/// Asks `id`, which also knows users of directories such as LDAP.
fn by_id(name: &str) -> Option<u32> {
    let output = Command::new("id").args(["-u", "--", name]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().parse().ok())?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn users_are_given_by_name_or_number() {
        assert_eq!(uid("1000").unwrap(), 1000);
        assert_eq!(uid("root").unwrap(), 0);
        assert_eq!(by_id("root"), Some(0));
        let error = uid("no-such-user").unwrap_err().to_string();
        assert!(
            error.starts_with("--allow-uid \"no-such-user\": "),
            "{error}"
        );
        // No option of `id`.
        assert!(uid("--help").is_err());
    }

    #[test]
    fn a_name_is_found_in_passwd_as_a_whole() {
        let users = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\nbad\n";
        assert_eq!(in_passwd(users, "www-data"), Some(33));
        assert_eq!(in_passwd(users, "www"), None);
        assert_eq!(in_passwd(users, "bad"), None);
    }
}
