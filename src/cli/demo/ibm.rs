//! `kubegate demo --flavor ibm`

use std::{fmt::Write as _, sync::Arc, time::Duration};

use anyhow::Context as _;

use super::{
    folder::Folder,
    program,
    serve::{Door, serve, target},
};
use crate::{
    credential::{
        ibm_iam::{Chain, Endpoints, RootCredential},
        issuer::Issuer,
    },
    demo::ibm::{API_KEY, IAM_USER, IbmCloud, Options, PASSWORD, USER},
    dial::Environment,
    settings::ProxyFlags,
    tls::Trust,
};

/// Starts IBM Cloud with its clusters, and the proxy in front of one of them. The proxy obtains tokens
/// as it does from the real IBM Cloud.
pub(super) async fn run(token_ttl: Duration, flags: &ProxyFlags) -> anyhow::Result<()> {
    // In whole seconds; with less than two there would be no time to renew a token.
    let id_token = Duration::from_secs(token_ttl.as_secs().max(2));
    let options = Options {
        id_token,
        access_token: id_token.saturating_mul(4),
        ..Options::default()
    };
    let ibm = IbmCloud::start(options)
        .await
        .context("cannot start the demo's IBM Cloud")?;
    let folder = Folder::new()?;
    let key = folder.file("apikey", API_KEY)?;
    let ca = folder.file("ca.pem", ibm.ca_pem())?;
    let mut environment = String::new();
    for (name, path) in [
        ("SSL_CERT_FILE", ca),
        // Keeps logins to the demo apart from the user's own.
        ("KUBECONFIG", folder.path().join("kubeconfig")),
        ("XDG_STATE_HOME", folder.path().join("state")),
    ] {
        writeln!(environment, "export {name}={}", program::path_of(&path))?;
    }
    for (name, value) in ibm.environment() {
        writeln!(environment, "export {name}={value}")?;
    }
    if let Some(path) = program::path_variable() {
        writeln!(environment, "export {path}")?;
    }
    folder.file("environment", &environment)?;

    let trust = Trust::roots(ibm.ca_pem().as_bytes(), "the demo's IBM Cloud")?;
    let issuer = Issuer::new(trust, Environment::read(|_| None));
    let chain = Chain::new(
        Arc::new(issuer),
        &endpoints(&ibm)?,
        RootCredential::KeyFile(key),
        None,
        "kubegate demo --flavor ibm".to_owned(),
    )?;
    let target = target(ibm.iks())?;
    let greet = |door: &Door| greeting(door, &ibm, &folder);
    serve(target, Arc::new(chain), flags, greet).await
}

fn endpoints(ibm: &IbmCloud) -> anyhow::Result<Endpoints> {
    let variables = ibm.environment();
    let read = |name: &str| {
        let variable = variables.iter().find(|(known, _)| known == name);
        variable.map(|(_, value)| value.clone())
    };
    Ok(Endpoints::read(&read, None)?)
}

fn greeting(door: &Door, ibm: &IbmCloud, folder: &Folder) -> String {
    let file = |name: &str| program::path_of(&folder.path().join(name));
    let (environment, key, ca) = (file("environment"), file("apikey"), file("ca.pem"));
    let (kubegate, issuer) = (program::name(), ibm.issuer_url());
    let (whoami, pods) = (door.kubectl("auth whoami"), door.kubectl("get pods"));
    let note = door.note();
    format!(
        "\nIt serves the demo's IBM Cloud, and you are {IAM_USER}. Try:\n\
         {whoami}{pods}{note}\
         \nThe same with only an API key, in another terminal:\n\
         \x20 . {environment}\n\
         \x20 {kubegate} --port 8002 --ibm-cluster kubegate-iks --ibm-endpoint private \\\n\
         \x20   --apikey-file {key}\n\
         \x20 kubectl -s http://127.0.0.1:8002 get pods\n\
         \nThe clusters of its accounts, after a login. The user is {USER} with the password\n\
         {PASSWORD}, and the account with clusters is Example Production; curl prints a\n\
         one-time passcode. Kubeconfig and tokens stay in the demo's own folder:\n\
         \x20 . {environment}\n\
         \x20 curl --cacert {ca} {issuer}/passcode\n\
         \x20 {kubegate} login ibm -u {USER}\n\
         \x20 {kubegate} login ibm --sso --cluster kubegate-iks --endpoint private\n\
         \x20 kubectl get pods\n"
    )
}
