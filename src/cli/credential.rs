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
This is what `kubegate login` writes into a kubeconfig; kubectl runs it, and kubegate itself
knows it without running anything. To have a token in your hands, use `kubegate token`.

Exit codes: 0 with an ExecCredential on standard output, 1 where there is no credential, 2
for bad flags.";

/// Prints an `ExecCredential` for the login that the words behind the command tell.
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
