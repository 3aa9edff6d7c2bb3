//! `kubegate credential`

use anyhow::Context as _;

use super::output;
use crate::{
    credential::{self, exec_credential},
    kubeconfig::{EXEC_INFO, ExecInfo},
    login,
    settings::Login,
};

pub(super) const EXAMPLES: &str = "\
`kubegate login` writes this command into the kubeconfig. kubectl runs it; kubegate itself uses the
login without running it. To see a token, run `kubegate token`.

Exit codes: 0 with an ExecCredential on standard output, 1 if there is no credential, 2 for
bad flags.";

/// Prints an `ExecCredential` for the login that the arguments describe.
pub(super) async fn run(login: &Login) -> anyhow::Result<()> {
    let info = std::env::var(EXEC_INFO).with_context(|| {
        format!(
            "{EXEC_INFO} is not set: `kubegate credential` is run by kubectl, for a kubeconfig \
             that `kubegate login` wrote; for a token, run `kubegate token`"
        )
    })?;
    let info = ExecInfo::read(&info)?;
    let cluster = info.cluster.context(
        "kubectl did not say which cluster this is for; set provideClusterInfo: true in the \
         user's exec entry",
    )?;
    login::note_use_by_kubectl(login, &|name| std::env::var_os(name));
    let source = credential::saved_login::source(login, &cluster)?;
    let credential = source.fetch().await?;
    let answer = exec_credential::to_json(&credential, &info.api_version, &source.subject())?;
    output::print_data(answer.as_str())
}
