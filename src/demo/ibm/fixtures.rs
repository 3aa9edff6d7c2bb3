//! The users of the cloud: one user, who is a member of several accounts, and a trusted profile.

/// The user's name at IAM. It has an upper-case letter; clusters use lower case.
pub const USER: &str = "User@example.com";
/// The user's password.
pub const PASSWORD: &str = "sesame-ibm-password";
/// The user's name at a cluster.
pub const IAM_USER: &str = "IAM#user@example.com";
/// The user's API key for [`ACCOUNT`].
pub const API_KEY: &str = "sesame-ibm-apikey-x0_kI7v3zNqLr5TgWc8YbPd1Fh";
/// The user's API key for [`STAGING_ACCOUNT`].
pub const STAGING_API_KEY: &str = "sesame-ibm-apikey-staging-Qm2uJx9sVe6RaKo4Zt";
/// The account that has most of the clusters.
pub const ACCOUNT: &str = "1f4a0c2be7d94c6fa3b58d90e6c71a25";
/// Another account of the user.
pub const STAGING_ACCOUNT: &str = "2b9d41f07c8e4a35b6d2f1c09e83a746";
/// The ID of the trusted profile that pods can assume.
pub const PROFILE_ID: &str = "Profile-7d0c5e7b-0f6e-4b0a-9c3d-4f1f3f6a2b11";
/// The name of the trusted profile, which belongs to [`ACCOUNT`].
pub const PROFILE_NAME: &str = "kubegate-pods";

/// The user's accounts, as ID and name, in the order of the list.
pub(super) const ACCOUNTS: [(&str, &str); 5] = [
    ("0a3c5e7f91b24d6880aacceeff013579", "Example Sandbox"),
    (ACCOUNT, "Example Production"),
    (
        "1f4a0c2be7d94c6fa3b58d90e6c71a99",
        "Example Production (old)",
    ),
    (STAGING_ACCOUNT, "Example Staging"),
    ("c0ffee00c0ffee00c0ffee00c0ffee00", "Example Training"),
];

/// The account that an API key belongs to.
pub(super) fn account_of_key(key: &str) -> Option<&'static str> {
    match key {
        API_KEY => Some(ACCOUNT),
        STAGING_API_KEY => Some(STAGING_ACCOUNT),
        _ => None,
    }
}

/// The account with this ID, if the user is a member of it.
pub(super) fn account(id: &str) -> Option<&'static str> {
    ACCOUNTS
        .into_iter()
        .find_map(|(known, _)| (known == id).then_some(known))
}
