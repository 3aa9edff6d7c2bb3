//! What a login to IBM Cloud asks on the terminal.

use std::io::{IsTerminal as _, stdin};

use zeroize::Zeroizing;

use crate::{
    credential::ibm_iam::{Account, Endpoints, IbmCluster},
    login::{Error, terminal},
    secret::Secret,
};

/// Asks for an API key.
pub(super) fn ask_api_key() -> Result<Secret, Error> {
    let instead = "give --apikey-file FILE, --sso or -u USER, or set IBMCLOUD_API_KEY";
    let typed = ask_hidden("IBM Cloud API key: ", "API key", instead)?;
    Ok(Secret::new(typed.trim()))
}

/// Asks for a one-time passcode, and says where to get one.
pub(super) fn ask_passcode(endpoints: &Endpoints) -> Result<Secret, Error> {
    let prompt = format!(
        "Get a one-time passcode in a browser: {}\nOne-time passcode: ",
        endpoints.passcode()
    );
    let instead = "give it on standard input with --password-stdin";
    let typed = ask_hidden(&prompt, "one-time passcode", instead)?;
    Ok(Secret::new(typed.trim()))
}

/// Asks for the user's password.
pub(super) fn ask_password() -> Result<Secret, Error> {
    let instead = "give it on standard input with --password-stdin";
    let typed = ask_hidden("Password: ", "password", instead)?;
    Ok(Secret::new(typed.as_str()))
}

/// Asks only if standard input is a terminal: a background job has the terminal of its shell, but no
/// user answers its prompts.
fn ask_hidden(
    prompt: &str,
    what: &'static str,
    instead: &'static str,
) -> Result<Zeroizing<String>, Error> {
    if !stdin().is_terminal() {
        return Err(Error::NoTerminal {
            what,
            instead,
            source: std::io::Error::other("standard input is no terminal"),
        });
    }
    terminal::ask_hidden(prompt, what, instead)
}

/// Returns the only account, or asks which one is meant.
pub(super) fn choose_account(accounts: &[Account]) -> Result<&Account, Error> {
    let shown = |account: &Account| format!("{:?} ({})", account.name, account.id);
    let chosen = choose("account", "--account ID", accounts, shown)?;
    Ok(&accounts[chosen])
}

/// Returns the only cluster, or asks which one is meant.
pub(super) fn choose_cluster(mut clusters: Vec<IbmCluster>) -> Result<IbmCluster, Error> {
    let shown = |cluster: &IbmCluster| {
        let region = cluster.region.as_deref().unwrap_or("no region");
        let state = cluster.state.as_deref().unwrap_or("no state");
        format!(
            "{:?} ({}, {}, {})",
            cluster.name,
            cluster.id.escape_debug(),
            region.escape_debug(),
            state.escape_debug()
        )
    };
    let chosen = choose("cluster", "--cluster NAME", &clusters, shown)?;
    Ok(clusters.swap_remove(chosen))
}

/// How often a choice is asked for. Beginning again would take another one-time passcode.
const MAX_TRIES: usize = 5;

/// Returns the index of the only choice, or of the one that the user types the number of.
fn choose<T>(
    what: &'static str,
    flag: &'static str,
    all: &[T],
    shown: impl Fn(&T) -> String,
) -> Result<usize, Error> {
    if let [_] = all {
        return Ok(0);
    }
    let lines: Vec<String> = all.iter().map(shown).collect();
    if lines.is_empty() || !stdin().is_terminal() {
        return Err(Error::Choice {
            what,
            flag,
            list: if lines.is_empty() {
                "there is none in this account; --account ID chooses another".to_owned()
            } else {
                lines.join(", ")
            },
        });
    }
    let numbered = lines.iter().zip(1..);
    let list: Vec<String> = numbered.map(|(line, n)| format!("{n:3}  {line}")).collect();
    let prompt = format!("{}\nNumber of the {what}: ", list.join("\n"));
    let wrong = Error::BadInput {
        what,
        problem: "is none of these numbers",
    };
    let mut ask = prompt;
    for _ in 0..MAX_TRIES {
        let typed = match terminal::ask(&ask, what, flag) {
            Ok(typed) => typed,
            Err(Error::BadInput { .. }) => Zeroizing::default(),
            Err(error) => return Err(error),
        };
        let number: Option<usize> = typed.trim().parse().ok();
        let index = number.and_then(|number| number.checked_sub(1));
        if let Some(index) = index.filter(|index| *index < all.len()) {
            return Ok(index);
        }
        ask = format!("That is none of these numbers.\nNumber of the {what}: ");
    }
    Err(wrong)
}
