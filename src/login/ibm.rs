//! Logging in to IBM Cloud, for one cluster: who, in which account, to which cluster, and proof
//! that the cluster agrees.

use std::{
    io::{IsTerminal as _, stdin},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{Error, Naming, keep, name_for, terminal};
use crate::{
    credential::{
        self, Cache,
        ibm_iam::{self, Account, CloudSession, Endpoints, IbmCluster, RootCredential, UserProof},
        store::{Saved, Store},
    },
    kubeconfig::{
        Cluster, Target,
        edit::{self, NewContext},
    },
    secret::Secret,
    settings::{IbmEndpoint, IbmFlags},
};

/// What a login is to be.
pub struct Wanted<'a> {
    /// How to prove who one is.
    pub how: How,
    /// Id or name of the account.
    pub account: Option<&'a str>,
    /// Name or id of the cluster.
    pub cluster: Option<&'a str>,
    /// Which of its endpoints.
    pub end: Option<IbmEndpoint>,
    /// Whether secrets rest in the OS's keyring.
    pub keyring: bool,
    /// `--kubeconfig`
    pub kubeconfig: Option<&'a Path>,
    /// The context to make anew, which a login of this cluster made.
    pub context: Option<&'a Target>,
}

/// How to prove who one is.
pub enum How {
    /// With the API key in this file.
    KeyFile(PathBuf),
    /// With what the environment has; else an API key is asked for.
    AtHand,
    /// With a one-time passcode; `None` asks for it.
    Passcode(Option<Secret>),
    /// With a user name and a password; `None` asks for it.
    Password(String, Option<Secret>),
}

/// A login that the cluster agreed to.
pub struct LoggedIn {
    /// Name of the context that is current now.
    pub context: String,
    /// The user's name in the cluster.
    pub user: String,
    /// Names the cluster.
    pub cluster: String,
}

/// Logs in, saves what the login goes on with, asks the cluster who that is, and writes the
/// context into the kubeconfig `file`. Where any of that fails, nothing is changed.
///
/// # Errors
/// What was refused, or is missing; each says what to do.
pub async fn log_in(wanted: Wanted<'_>, file: &Path) -> Result<LoggedIn, Error> {
    edit::may_add_context(file)?;
    let endpoints = ibm_iam::endpoints(None)?;
    let (session, mut saved, profile) = begin(&wanted, &endpoints).await?;
    saved.keyring = wanted.keyring;
    let cluster = match wanted.cluster {
        Some(name) => session.cluster(name).await?,
        None => choose_cluster(session.clusters().await?)?,
    };
    // A list tells less of a cluster than its own entry.
    let cluster = session.cluster(&cluster.id).await?;
    let reached = session.cluster_config(&cluster, wanted.end).await?;
    let env = |name: &str| std::env::var_os(name);
    let store = Store::of_user(&env).map_err(credential::Error::store);
    let naming = Naming {
        kubeconfig: wanted.kubeconfig,
        kind: "ibm",
        user: None,
        wanted: &RootCredential::login_name(session.account(), session.user()),
    };
    let flags = IbmFlags {
        login: match (&profile, &store) {
            (None, Ok(store)) => Some(name_for(store, &naming, &env)),
            // A pod has its root at hand; and without a state folder this ends below.
            (None, Err(_)) => Some(naming.wanted.to_owned()),
            (Some(_), _) => None,
        },
        cluster: Some(cluster.id.clone()),
        profile,
        openshift: cluster.is_openshift(),
        iam: endpoints.other_iam(),
        ..IbmFlags::default()
    };
    let context = context(&cluster, &reached, &flags, wanted.context)?;
    let finish = async || {
        let user = verify(&flags, &reached).await?;
        edit::add_context(file, &context, true)?;
        Ok(user)
    };
    let user = match &flags.login {
        Some(login) => {
            let store = store?;
            let of = crate::settings::Login::Ibm(flags.clone());
            let place = credential::saved_login::binding(&of, &reached)?;
            keep(&store, place, login, &saved, Some(file), finish).await?
        }
        // A pod has its root at hand.
        None => finish().await?,
    };
    Ok(LoggedIn {
        context: context.context,
        user,
        cluster: cluster.name,
    })
}

/// A session in the account wanted, what to save of it, and a pod's trusted profile.
async fn begin(
    wanted: &Wanted<'_>,
    endpoints: &Endpoints,
) -> Result<(CloudSession, Saved, Option<String>), Error> {
    let proof = match &wanted.how {
        How::KeyFile(path) => {
            return by_root(wanted, endpoints, RootCredential::KeyFile(path.clone())).await;
        }
        How::AtHand => {
            let root = match RootCredential::from_environment()? {
                Some(root) => root,
                None => RootCredential::typed(ask_key()?),
            };
            return by_root(wanted, endpoints, root).await;
        }
        How::Passcode(Some(passcode)) => UserProof::Passcode(passcode.clone()),
        How::Passcode(None) => UserProof::Passcode(ask_passcode(endpoints)?),
        How::Password(user, password) => UserProof::Password {
            user: user.clone(),
            password: match password {
                Some(password) => password.clone(),
                None => ask_password()?,
            },
        },
    };
    let mut session = CloudSession::log_in(endpoints.clone(), &proof).await?;
    let accounts = session.accounts().await?;
    let account = match ibm_iam::choose_account(&accounts, wanted.account)? {
        Some(account) => account,
        None => choose_account(&accounts)?,
    };
    session.switch_account(account).await?;
    let saved = session.to_save();
    Ok((session, saved, None))
}

async fn by_root(
    wanted: &Wanted<'_>,
    endpoints: &Endpoints,
    root: RootCredential,
) -> Result<(CloudSession, Saved, Option<String>), Error> {
    let saved = Saved {
        api_key: root.api_key()?,
        ..Saved::default()
    };
    let profile = root.profile().map(str::to_owned);
    let account = wanted.account.map(str::to_owned);
    let login = ibm_iam::login_command(wanted.cluster);
    let chain = ibm_iam::Chain::new(ibm_iam::issuer(), endpoints, root, account, login)?;
    let session = CloudSession::from_chain(endpoints.clone(), &chain).await?;
    Ok((session, saved, profile))
}

/// Who the login is in the cluster, by the cluster's word.
async fn verify(flags: &IbmFlags, cluster: &Cluster) -> Result<String, Error> {
    let login = crate::settings::Login::Ibm(flags.clone());
    let source = credential::saved_login::source(&login, cluster)?;
    let identity = credential::whoami(cluster, Cache::new(source)).await?;
    Ok(identity.username)
}

/// The context, named as IBM's tools name it, or as the one that is made anew.
fn context(
    cluster: &IbmCluster,
    reached: &Cluster,
    flags: &IbmFlags,
    renewed: Option<&Target>,
) -> Result<NewContext, Error> {
    let own = format!("{}/{}", cluster.name, cluster.id);
    let name = |renewed: Option<&String>| renewed.unwrap_or(&own).clone();
    let authority = match &reached.certificate_authority {
        Some(pem) => Some(pem.read().map_err(credential::Error::pem)?),
        None => None,
    };
    Ok(NewContext {
        context: name(renewed.and_then(|one| one.context.as_ref())),
        cluster: name(renewed.and_then(|one| one.cluster.name.as_ref())),
        user: name(renewed.and_then(|one| one.user.name.as_ref())),
        namespace: None,
        server: reached.url(),
        certificate_authority: authority.map(|pem| pem.to_vec()),
        tls_server_name: None,
        proxy_url: None,
        credential_args: flags.to_args(),
    })
}

fn ask_key() -> Result<Secret, Error> {
    let instead = "give --apikey-file FILE, --sso or -u USER, or set IBMCLOUD_API_KEY";
    let typed = ask_hidden("IBM Cloud API key: ", "API key", instead)?;
    Ok(Secret::new(typed.trim()))
}

fn ask_passcode(endpoints: &Endpoints) -> Result<Secret, Error> {
    let prompt = format!(
        "Get a one-time passcode in a browser: {}\nOne-time passcode: ",
        endpoints.passcode()
    );
    let instead = "give it on standard input with --password-stdin";
    let typed = ask_hidden(&prompt, "one-time passcode", instead)?;
    Ok(Secret::new(typed.trim()))
}

fn ask_password() -> Result<Secret, Error> {
    let instead = "give it on standard input with --password-stdin";
    let typed = ask_hidden("Password: ", "password", instead)?;
    Ok(Secret::new(typed.as_str()))
}

/// Asks only where somebody sits: a job that was started from a terminal has none to answer.
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

fn choose_account(accounts: &[Account]) -> Result<&Account, Error> {
    let shown = |account: &Account| format!("{:?} ({})", account.name, account.id);
    let chosen = choose("account", "--account ID", accounts, shown)?;
    Ok(&accounts[chosen])
}

fn choose_cluster(mut clusters: Vec<IbmCluster>) -> Result<IbmCluster, Error> {
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

/// The place of the one that is meant: the only one, or the one that somebody chooses.
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
    let typed = terminal::ask(&prompt, what, flag)?;
    let number: Option<usize> = typed.trim().parse().ok();
    let place = number.and_then(|number| number.checked_sub(1));
    place
        .filter(|place| *place < all.len())
        .ok_or(Error::BadInput {
            what,
            problem: "is none of these numbers",
        })
}
