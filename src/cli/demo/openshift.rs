//! `kubegate demo --flavor openshift`

use std::time::Duration;

use anyhow::Context as _;

use super::{
    folder::Folder,
    program,
    serve::{Door, serve, target},
};
use crate::{
    credential::{self, CommandContext},
    demo::openshift::{OpenShift, Options},
    settings::{Login, OpenshiftFiles, OpenshiftFlags, ProxyFlags},
};

/// The user of the demo; the password is the same.
const USER: &str = "developer";

/// The repository of an image with signatures.
const REPOSITORY: &str = "demo/hello";

/// Starts API server, OAuth server and registry, and the proxy in front of the first.
pub(super) async fn run(token_ttl: Duration, flags: &ProxyFlags) -> anyhow::Result<()> {
    // In whole seconds; with less than two there would be no time to begin a new session.
    let life = token_ttl.as_secs().max(2);
    let options = Options {
        token_max_age: life,
        ..Options::default()
    };
    let cluster = OpenShift::start(options)
        .await
        .context("cannot start the demo's OpenShift")?;
    let folder = Folder::new()?;
    folder.file("api-ca.pem", cluster.api().ca_pem())?;
    folder.file("registry-ca.pem", cluster.registry_ca_pem())?;
    let login = Login::Openshift(OpenshiftFlags {
        login: None,
        files: OpenshiftFiles {
            openshift_username_file: Some(folder.file("username", USER)?),
            openshift_password_file: Some(folder.file("password", USER)?),
            oauth_certificate_authority: Some(folder.file("oauth-ca.pem", cluster.oauth_ca_pem())?),
        },
    });
    let target = target(cluster.api())?;
    let source =
        credential::saved_login::source(&login, &target.cluster, &CommandContext::Unknown)?;
    let greet = |door: &Door| greeting(door, &cluster, &folder, life);
    serve(target, source, flags, greet).await
}

fn greeting(door: &Door, cluster: &OpenShift, folder: &Folder, life: u64) -> String {
    let (api, registry) = (cluster.api().url(), cluster.registry_url());
    let digest = cluster.add_image(REPOSITORY);
    let file = |name: &str| program::path_of(&folder.path().join(name));
    let (kubeconfig, state) = (file("kubeconfig"), file("state"));
    let [api_ca, oauth_ca, registry_ca] =
        ["api-ca.pem", "oauth-ca.pem", "registry-ca.pem"].map(file);
    let kubegate = program::name();
    let path = program::path_variable().map_or_else(String::new, |path| format!(" {path}"));
    let me = door.curl("", "/apis/user.openshift.io/v1/users/~");
    let tokens = door.curl("", "/apis/oauth.openshift.io/v1/useroauthaccesstokens");
    let (projects, note) = (door.kubectl("get projects,pods"), door.note());
    format!(
        "\nIt serves the demo's OpenShift, and you are {USER}. Try:\n\
         {me}{tokens}{projects}{note}\
         \nThe same with a login, in another terminal; the password is {USER}, too. The session\n\
         ends after {life} s; start the demo with --token-ttl 1h for a longer one:\n\
         \x20 export KUBECONFIG={kubeconfig} XDG_STATE_HOME={state}{path}\n\
         \x20 {kubegate} login openshift --server {api} -u {USER} \\\n\
         \x20   --certificate-authority {api_ca} \\\n\
         \x20   --oauth-certificate-authority {oauth_ca}\n\
         \x20 {kubegate} whoami\n\
         \x20 kubectl get projects,pods\n\
         \nWith that session, the signatures of the image registry:\n\
         \x20 {kubegate} --port 8002 --server {registry} \\\n\
         \x20   --certificate-authority {registry_ca}\n\
         \x20 curl http://127.0.0.1:8002/extensions/v2/{REPOSITORY}/signatures/{digest}\n"
    )
}
