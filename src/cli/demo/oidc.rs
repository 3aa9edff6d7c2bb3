//! `kubegate demo --flavor oidc`

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;

use super::{
    folder::Folder,
    program,
    serve::{Door, serve, target},
};
use crate::{
    credential::{Credential, Error, Fetch, Source, bearer},
    demo::{
        ControlPlane,
        oidc::{OidcIssuer, Options},
    },
    settings::ProxyFlags,
};

/// Starts an OIDC issuer and a cluster that accepts its ID tokens, and the proxy in front of the
/// cluster.
pub(super) async fn run(token_ttl: Duration, flags: &ProxyFlags) -> anyhow::Result<()> {
    // In whole seconds; with less than two there would be no time to renew a token.
    let id_token = Duration::from_secs(token_ttl.as_secs().max(2));
    let options = Options {
        id_token,
        ..Options::default()
    };
    let issuer = OidcIssuer::start(options.clone())
        .await
        .context("cannot start the demo's issuer")?;
    let cluster = issuer
        .control_plane()
        .await
        .context("cannot start the demo's control plane")?;
    let folder = Folder::new()?;
    folder.file("api-ca.pem", cluster.ca_pem())?;
    folder.file("issuer-ca.pem", issuer.ca_pem())?;
    let target = target(&cluster)?;
    let issuer = Arc::new(issuer);
    let source = IdTokens {
        issuer: Arc::clone(&issuer),
        lifetime: id_token,
    };
    let greet = |door: &Door| greeting(door, &cluster, &issuer, &options.client_id, &folder);
    serve(target, Arc::new(source), flags, greet).await
}

/// Takes ID tokens from the demo's issuer without a login.
struct IdTokens {
    issuer: Arc<OidcIssuer>,
    lifetime: Duration,
}

impl Source for IdTokens {
    fn subject(&self) -> String {
        "the demo's issuer".to_owned()
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(async {
            let expires_at = SystemTime::now() + self.lifetime;
            let issued = self.issuer.issue_login();
            let (id_token, _) = issued.map_err(|error| Error::Vendor {
                vendor: "the demo's issuer",
                problem: error.to_string(),
                transient: false,
                retry_after: None,
            })?;
            Ok(Credential {
                authorization: Some(bearer(&id_token)?),
                expires_at: Some(expires_at),
                ..Credential::default()
            })
        })
    }
}

fn greeting(
    door: &Door,
    cluster: &ControlPlane,
    issuer: &OidcIssuer,
    client_id: &str,
    folder: &Folder,
) -> String {
    let file = |name: &str| program::path_of(&folder.path().join(name));
    let [kubeconfig, state, api_ca, issuer_ca] =
        ["kubeconfig", "state", "api-ca.pem", "issuer-ca.pem"].map(file);
    let (api, issuer_url) = (cluster.url(), issuer.url());
    let kubegate = program::name();
    let path = program::path_variable().map_or_else(String::new, |path| format!(" {path}"));
    let pods = door.curl("", "/api/v1/pods");
    let (whoami, note) = (door.kubectl("auth whoami"), door.note());
    format!(
        "\nIt serves the demo's cluster, whose users log in at an OIDC issuer. Try:\n\
         {pods}{whoami}{note}\
         \nThe same with a login, in another terminal. The issuer lets everybody in; curl takes the\n\
         place of a browser, which would not trust the issuer's certificate:\n\
         \x20 export KUBECONFIG={kubeconfig} XDG_STATE_HOME={state} \\\n\
         \x20   CURL_CA_BUNDLE={issuer_ca}{path}\n\
         \x20 {kubegate} login oidc --server {api} --certificate-authority {api_ca} \\\n\
         \x20   --oidc-issuer-url {issuer_url} --oidc-client-id {client_id} \\\n\
         \x20   --oidc-certificate-authority {issuer_ca} \\\n\
         \x20   --browser-command 'curl --silent --show-error --location --output /dev/null %s'\n\
         \x20 {kubegate} whoami\n\
         \x20 kubectl get pods\n"
    )
}
