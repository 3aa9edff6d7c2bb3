//! What counts where the settings file, a variable and a flag say different things: the flag, then the
//! variable, then the file.

/// Variables that mean the same as a flag does.
const VARIABLES: &[(&str, &str)] = &[
    ("kubeconfig", "KUBECONFIG"),
    ("apikey-file", "IBMCLOUD_API_KEY"),
];

/// Flags of which each chooses what the others of its group choose too.
const ALTERNATIVES: &[&[&str]] = &[
    &["unix-socket", "port"],
    &["unix-socket", "tls-self-signed"],
    &["unix-socket", "tls-cert"],
    &["unix-socket", "tls-key"],
    &["unix-socket", "client-ca"],
    &["tls-self-signed", "tls-cert"],
    &["tls-self-signed", "tls-key"],
    &["context", "follow-current-context", "all-contexts"],
    &["service-account", "service-account-secret"],
    &["apikey-file", "vpc-cri"],
    &["ibm-cluster", "kubeconfig"],
    &["ibm-cluster", "context"],
    &["ibm-cluster", "all-contexts"],
    &["ibm-cluster", "follow-current-context"],
    &["ibm-cluster", "cluster"],
    &["ibm-cluster", "user"],
    &["ibm-cluster", "server"],
    &["ibm-cluster", "token"],
    &["ibm-cluster", "username"],
    &["ibm-cluster", "password"],
    &["ibm-cluster", "client-certificate"],
    &["ibm-cluster", "client-key"],
];

/// Settings that the flag beside them makes meaningless, but not the other way round.
const REPLACED: &[(&str, &str)] = &[("default-context", "context")];

/// Flags that have no meaning without another one.
const DEPENDENT: &[(&str, &str)] = &[
    ("ibm-endpoint", "ibm-cluster"),
    ("ibm-account", "ibm-cluster"),
    ("apikey-file", "ibm-cluster"),
    ("vpc-cri", "ibm-cluster"),
    ("service-account-audience", "service-account"),
    ("default-context", "all-contexts"),
];

/// What counts in place of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Overridden {
    /// A flag, by its long name.
    Flag(String),
    /// A variable of the environment.
    Variable(&'static str),
}

/// Returns what counts in place of the setting `key`, if anything does. `given` are the flags on the
/// command line; `is_set` tells whether a variable has a value.
pub(super) fn overridden(
    key: &str,
    given: &[&str],
    is_set: &dyn Fn(&str) -> bool,
) -> Option<Overridden> {
    let is_given = |name: &&str| given.contains(name);
    if is_given(&key) {
        return Some(Overridden::Flag(key.to_owned()));
    }
    let replaced = REPLACED.iter().filter(|(setting, _)| *setting == key);
    if let Some((_, flag)) = replaced.into_iter().find(|(_, flag)| is_given(flag)) {
        return Some(Overridden::Flag((*flag).to_owned()));
    }
    let groups = ALTERNATIVES.iter().filter(|group| group.contains(&key));
    if let Some(flag) = groups
        .flat_map(|group| group.iter())
        .find(|name| is_given(name))
    {
        return Some(Overridden::Flag((*flag).to_owned()));
    }
    let needed = DEPENDENT.iter().find(|(dependent, _)| *dependent == key);
    if let Some((_, needed)) = needed
        && !is_given(needed)
        && let Some(by) = overridden(needed, given, is_set)
    {
        return Some(by);
    }
    let variable = VARIABLES.iter().find(|(flag, _)| *flag == key);
    let (_, variable) = variable.filter(|(_, variable)| is_set(variable))?;
    Some(Overridden::Variable(variable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_count_before_variables_and_these_before_the_file() {
        let flag = |name: &str| Some(Overridden::Flag(name.to_owned()));
        let variable = |name| Some(Overridden::Variable(name));
        let none = |_: &str| false;
        let all = |_: &str| true;
        assert_eq!(overridden("port", &["port"], &none), flag("port"));
        assert_eq!(overridden("port", &["address"], &all), None);
        assert_eq!(overridden("kubeconfig", &[], &all), variable("KUBECONFIG"));
        assert_eq!(overridden("kubeconfig", &[], &none), None);
        let given = ["kubeconfig"];
        assert_eq!(overridden("kubeconfig", &given, &all), flag("kubeconfig"));
    }

    #[test]
    fn a_flag_counts_before_settings_that_choose_otherwise() {
        let is_set = |_: &str| false;
        for (key, given, by) in [
            ("port", "unix-socket", true),
            ("unix-socket", "port", true),
            ("follow-current-context", "context", true),
            ("context", "ibm-cluster", true),
            ("ibm-cluster", "server", true),
            // They mean nothing without the setting that does not count.
            ("ibm-account", "context", true),
            ("apikey-file", "server", true),
            ("ibm-account", "ibm-cluster", false),
            ("context", "kubeconfig", false),
            ("all-contexts", "context", true),
            ("default-context", "context", true),
            ("context", "default-context", false),
            ("tls-key", "tls-self-signed", true),
        ] {
            let found = overridden(key, &[given], &is_set);
            assert_eq!(found.is_some(), by, "{key} {given}: {found:?}");
        }
    }
}
