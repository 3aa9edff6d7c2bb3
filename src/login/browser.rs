//! A login on the issuer's own pages: opens the browser, and listens on loopback for the code that
//! it brings back (RFC 8252, section 7.3).
//!
//! The caller puts [`Callback::redirect_uri`], [`Callback::state`] and a
//! [`Pkce`](crate::credential::Pkce) challenge into the authorize URL, passes the URL to [`open`], and
//! redeems the code in [`Callback::complete`].

mod callback;

use std::{
    ffi::OsString,
    process::{Command, Stdio},
    time::Duration,
};

pub(in crate::login) use callback::Callback;

use crate::{console, core_dumps, printable::printable};

/// The program that opens a URL in the desktop's browser.
const OPENER: &str = if cfg!(target_os = "macos") {
    "open"
} else {
    "xdg-open"
};

/// How long the user may take for the login in the browser.
pub(in crate::login) const LOGIN_TIMEOUT: Duration = Duration::from_secs(300);

/// Prints `url` on standard error, for a browser that has to be opened by hand.
pub(in crate::login) fn show(url: &str) {
    console::eprint(&format!(
        "Log in here, in a browser on this machine:\n\n  {}\n",
        printable(url)
    ));
}

/// Prints `url`, and opens it in a browser: the commands of `BROWSER` in `env`, else the desktop's own.
/// That no browser can be started is not an error.
pub(in crate::login) fn open(url: &str, env: &dyn Fn(&str) -> Option<OsString>) {
    show(url);
    let browsers = env("BROWSER").unwrap_or_default();
    let browsers = browsers.to_string_lossy();
    let mut commands = browsers.split(':').filter(|one| !one.trim().is_empty());
    let started = commands.any(|command| start(command, url)) || start(OPENER, url);
    if !started {
        tracing::debug!("no browser could be started");
    }
}

/// Starts one command of `BROWSER`. `%s` in it stands for the URL, which otherwise becomes the last
/// argument.
fn start(command: &str, url: &str) -> bool {
    let mut words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    if !words.iter().any(|word| word.contains("%s")) {
        words.push("%s".to_owned());
    }
    let mut words = words.into_iter().map(|word| word.replace("%s", url));
    let Some(program) = words.next() else {
        return false;
    };
    let mut command = Command::new(program);
    command
        .args(words)
        // Its output would mix with ours.
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let Ok(mut child) = core_dumps::allow_for(|| command.spawn()) else {
        return false;
    };
    // The command may run for as long as its window is open.
    std::thread::spawn(move || child.wait());
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{fs, time::Instant};

    use super::*;

    #[test]
    fn the_command_of_browser_gets_the_url_as_one_argument() {
        let folder = tempfile::tempdir().unwrap();
        let seen = folder.path().join("seen");
        let script = folder.path().join("browser");
        let text = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$@\" > {0}.new; mv {0}.new {0}",
            seen.display()
        );
        fs::write(&script, text).unwrap();
        let url = "https://issuer.example/?a=1&b=$(x)";
        for (arguments, expected) in [
            ("", format!("{url}\n")),
            (" --new %s --end", format!("--new\n{url}\n--end\n")),
        ] {
            let browser = format!("/nonexistent/browser:sh {}{arguments}", script.display());
            open(url, &|name| {
                (name == "BROWSER").then(|| browser.clone().into())
            });
            let deadline = Instant::now() + Duration::from_secs(20);
            while !seen.exists() {
                assert!(Instant::now() < deadline, "no browser ran");
                std::thread::sleep(Duration::from_millis(10));
            }
            assert_eq!(fs::read_to_string(&seen).unwrap(), expected);
            fs::remove_file(&seen).unwrap();
        }
    }
}
