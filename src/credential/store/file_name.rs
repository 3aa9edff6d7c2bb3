//! The name of a login's file. It shows the name of the login, and is short enough for every file
//! system: eCryptfs takes 143 bytes, most others 255.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::{hex, kubeconfig::own_writes::sha256};

/// The characters that are not encoded.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b':');

/// The longest name without its extension, in bytes. `.kubeconfigs.new.` and the number of a
/// process follow it.
const LIMIT: usize = 112;
/// How much of a longer name is kept, in bytes. A hash follows it.
const KEPT_LENGTH: usize = 40;
/// Stands before the hash. No encoded name has it.
const MARK: char = '+';

/// Returns the name of `login` with every other character encoded. It may be too long for a file.
pub(super) fn encoded(login: &str) -> String {
    utf8_percent_encode(login, KEPT).to_string()
}

/// Returns the name of the login's file, without an extension.
pub(super) fn of_login(login: &str) -> String {
    let whole = encoded(login);
    if whole.len() <= LIMIT {
        return whole;
    }
    let mut start = String::new();
    for part in utf8_percent_encode(login, KEPT) {
        if start.len() + part.len() > KEPT_LENGTH {
            break;
        }
        start.push_str(part);
    }
    let hash = hex::encode(&sha256(login.as_bytes()));
    format!("{start}{MARK}{hash}")
}

/// Returns the name of the login whose file has the name `name`, without an extension; `None` if
/// only a hash of it is there.
pub(super) fn login_of(name: &str) -> Option<String> {
    if name.contains(MARK) {
        return None;
    }
    let login = percent_decode_str(name).decode_utf8().ok()?;
    Some(login.into_owned())
}

/// Whether a login's file has a hash in place of the whole name.
pub(super) fn is_hashed(login: &str) -> bool {
    of_login(login).contains(MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_any_length_and_script_fits_into_a_file_name() {
        let long = format!(
            "oidc:CN=山田 太郎,OU={}/api-example:6443",
            "営業部".repeat(20)
        );
        let longer = format!("{long}/2");
        for login in [&long, &longer, &"a".repeat(4000), &"%".repeat(40)] {
            let name = of_login(login);
            assert!(name.len() <= LIMIT, "{name}");
            assert!(name.len() + ".kubeconfigs.new.4194304".len() <= 143);
            assert!(is_hashed(login) && login_of(&name).is_none(), "{name}");
        }
        assert_ne!(of_login(&long), of_login(&longer));
        assert!(of_login(&long).starts_with("oidc:CN%3D%E5%B1%B1%E7%94%B0"));
    }

    #[test]
    fn a_short_name_is_encoded_and_decoded() {
        for login in ["a/b", "default/api.example:6443/jane", "山田 太郎", "a+b%"] {
            let name = of_login(login);
            assert!(!is_hashed(login) && !name.contains('/'), "{name}");
            assert_eq!(login_of(&name).as_deref(), Some(login));
        }
    }
}
