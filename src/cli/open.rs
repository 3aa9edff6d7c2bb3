//! `kubegate open`

mod place;
mod proxy_connection;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueHint};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use self::proxy_connection::ProxyConnection;
use super::output;
use crate::{
    console, credential,
    login::{has_browser, start_browser},
    proxy::reserved::{OPEN, Opened},
    secret::Secret,
    settings::{BrowserFlags, RunningProxyFlags},
};

pub(super) const EXAMPLES: &str = "\
A browser cannot send the token that --require-token-file demands. This command sends it, and gets an
address that is good once and for a minute. The browser that opens it keeps a cookie, for twelve hours
at most and as long as the token stays in the file.

An app, that is what a service or pod serves, opens at an origin of its own, where its cookies and
scripts reach nothing else: http://[PORT.]NAME.NAMESPACE.svc[.CONTEXT].localhost:8001/, and .pod for pods.

Examples:
  kubegate open svc/grafana -n monitoring
  kubegate open svc/https:kubernetes-dashboard:443 -n kubernetes-dashboard --print
  kubegate open pod/web-0:8080/metrics --context staging
  kubegate open --token-file ~/.config/kubegate/token
  kubegate open /api/v1/namespaces/default/pods --port 8002 --no-browser

Exit codes: 0 when opened or printed, 1 if no address was handed out, 2 for bad flags.";

/// Flags of `kubegate open`.
#[derive(Args, Debug)]
pub(super) struct Flags {
    /// Path to open, which begins with a slash; or an app at its own origin: svc/NAME or pod/NAME, NAME:PORT
    /// for one of its ports, https:NAME:PORT if it speaks TLS, and a path of it behind
    #[arg(value_name = "TARGET", default_value = "/")]
    target: String,
    /// Namespace of the app
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    namespace: String,
    /// Context of the app, if the proxy serves several
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    #[command(flatten)]
    proxy: RunningProxyFlags,
    /// File with the token for the proxy: the token alone, or a line NAME TOKEN of --require-token-file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    token_file: Option<PathBuf>,
    /// Print the address, without opening a browser
    #[arg(long, visible_alias = "print")]
    no_browser: bool,
    /// Command that opens a URL, in place of BROWSER and the desktop's: %s stands for the URL, which
    /// otherwise comes last
    #[arg(long, value_name = "COMMAND")]
    browser_command: Option<String>,
}

/// Opens the proxy in a browser, or prints the address to open.
pub(super) async fn run(flags: &Flags) -> anyhow::Result<()> {
    let token = flags.token_file.as_deref().map(token).transpose()?;
    let context = (flags.namespace.as_str(), flags.context.as_deref());
    let place = place::of(&flags.target, context, &flags.proxy)?;
    let mut proxy = ProxyConnection::connect(&flags.proxy).await?;
    let url = ask(&mut proxy, &place.host, &place.path, token.as_ref()).await?;
    show(&url, &place.host, flags)
}

/// Returns the URL to open in a browser for a path of the origin of `host`: that of the proxy, or that
/// of an app. Where the proxy requires tokens, the URL sets a cookie of that origin and leads on to the
/// path.
async fn ask(
    proxy: &mut ProxyConnection,
    host: &str,
    path: &str,
    token: Option<&Secret>,
) -> anyhow::Result<String> {
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let request = format!("{OPEN}?host={}&path={}", encoded(host), encoded(path));
    let opened = proxy.post(&request, token).await?;
    let opened: Opened = serde_json::from_slice(&opened).with_context(|| {
        format!(
            "what serves at {} is not kubegate; give the address of one",
            proxy.name()
        )
    })?;
    if !opened.leads_to(path) {
        bail!(
            "what serves at {} answers with another path than kubegate does; give the address of one",
            proxy.name()
        );
    }
    Ok(format!("{}://{host}{}", proxy.scheme(), opened.path))
}

/// Reads the token of a file. It may be the file of `--require-token-file`: the first token counts that
/// stands there in words.
fn token(file: &Path) -> anyhow::Result<Secret> {
    let text = credential::secret_file::read_lines("token", file)?;
    let lines = text.lines().map(str::trim);
    let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let found = lines.find_map(|line| {
        let last = line.split_ascii_whitespace().last()?;
        (!last.starts_with("sha256:")).then(|| Secret::new(last))
    });
    match found {
        Some(token) => Ok(token),
        None => bail!(
            "--token-file {}: has no token, or only hashes of tokens; give a file with the token itself",
            file.display()
        ),
    }
}

fn show(url: &str, host: &str, flags: &Flags) -> anyhow::Result<()> {
    let browser = BrowserFlags {
        no_browser: flags.no_browser,
        browser_command: flags.browser_command.clone(),
        ..BrowserFlags::default()
    };
    let env = |name: &str| std::env::var_os(name);
    if flags.no_browser || !has_browser(&browser, &env) {
        return output::print(&format!("{url}\n"));
    }
    start_browser(url, &browser, &env);
    console::eprint(&format!(
        "Opened {}://{host} in a browser; --no-browser prints the address instead\n",
        flags.proxy.scheme()
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    #[test]
    fn the_token_stands_alone_or_behind_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        for (text, expected) in [
            ("alices-token\n", Some("alices-token")),
            (
                "# me\n\nalice alices-token\nbob bobs-token\n",
                Some("alices-token"),
            ),
            (
                "bob sha256:00\r\nalice\talices-token\r\n",
                Some("alices-token"),
            ),
            ("bob sha256:00\n", None),
            ("", None),
        ] {
            fs::write(&file, text).unwrap();
            let found = token(&file).ok();
            assert_eq!(found.as_ref().map(Secret::expose), expected, "{text:?}");
        }
    }
}
