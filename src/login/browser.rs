//! A login on the issuer's own pages: opens the browser, and listens on loopback for the code that
//! it brings back (RFC 8252, section 7.3).
//!
//! The caller puts [`Callback::redirect_uri`], [`Callback::state`] and a
//! [`Pkce`](crate::credential::Pkce) challenge into the authorize URL, passes the URL to [`open`], and
//! redeems the code in [`Callback::complete`].

mod callback;

mod command;

use std::{
    ffi::OsString,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

pub(in crate::login) use callback::Callback;

use crate::{console, core_dumps, printable::printable, settings::BrowserFlags};

/// The programs that open a URL in the desktop's browser: the first that is installed is used. The last
/// one is that of the Windows Subsystem for Linux.
const OPENERS: &[&str] = if cfg!(target_os = "macos") {
    &["open"]
} else {
    &["xdg-open", "wslview"]
};

/// How long a login without a limit waits, since points in time far ahead cannot be computed.
const NO_LIMIT: Duration = Duration::from_secs(10 * 366 * 86_400);

/// Returns how long a login waits for the person who logs in.
pub(in crate::login) fn limit(flags: &BrowserFlags) -> Duration {
    flags.timeout().unwrap_or(NO_LIMIT)
}

/// Prints `url` on standard error, and opens it in a browser unless `flags` say otherwise. That no
/// browser can be started is not an error: the URL can be opened by hand.
pub(in crate::login) fn open(
    url: &str,
    flags: &BrowserFlags,
    env: &dyn Fn(&str) -> Option<OsString>,
) {
    console::eprint(&format!(
        "Log in here, in a browser on this machine:\n\n  {}\n",
        printable(url)
    ));
    start(url, flags, env);
}

/// Opens `url` in a browser, unless `flags` say otherwise: by the command of `flags`, else by those of
/// `BROWSER` in `env`, else by the desktop's own.
pub fn start(url: &str, flags: &BrowserFlags, env: &dyn Fn(&str) -> Option<OsString>) {
    if flags.no_browser {
        return;
    }
    if let Some(command) = &flags.browser_command {
        if !run(command, url) {
            tracing::warn!(
                command,
                "the command of --browser-command cannot be started"
            );
        }
        return;
    }
    let browsers = env("BROWSER").unwrap_or_default();
    let browsers = browsers.to_string_lossy();
    let mut commands = command::commands(&browsers)
        .into_iter()
        .chain(OPENERS.iter().copied());
    if !commands.any(|command| run(command, url)) {
        tracing::debug!("no browser could be started");
    }
}

/// Whether a browser can probably be opened here: one is named, or there is a desktop and a program that
/// opens URLs on it.
pub fn is_available(flags: &BrowserFlags, env: &dyn Fn(&str) -> Option<OsString>) -> bool {
    let is_set = |name| env(name).is_some_and(|value| !value.is_empty());
    if flags.browser_command.is_some() || is_set("BROWSER") {
        return true;
    }
    let has_desktop = if cfg!(target_os = "macos") {
        !is_set("SSH_CONNECTION")
    } else {
        ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"]
            .into_iter()
            .any(is_set)
    };
    let path = env("PATH").unwrap_or_default();
    let is_installed = |program: &&str| {
        std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
    };
    has_desktop && OPENERS.iter().any(is_installed)
}

/// Starts one command with `url`. Returns false if that is not possible.
fn run(command: &str, url: &str) -> bool {
    let mut words = command::words(command, url).into_iter();
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
            let env = |name: &str| (name == "BROWSER").then(|| OsString::from(browser.clone()));
            start(url, &BrowserFlags::default(), &env);
            let deadline = Instant::now() + Duration::from_secs(20);
            while !seen.exists() {
                assert!(Instant::now() < deadline, "no browser ran");
                std::thread::sleep(Duration::from_millis(10));
            }
            assert_eq!(fs::read_to_string(&seen).unwrap(), expected);
            fs::remove_file(&seen).unwrap();
        }
    }

    #[test]
    fn a_browser_needs_a_desktop_or_a_command() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(OPENERS[0]), "").unwrap();
        let path = folder.path().to_str().unwrap();
        let flags = BrowserFlags::default();
        let is_found = |set: &[(&str, &str)]| {
            is_available(&flags, &|name| {
                let found = set.iter().find(|(key, _)| *key == name)?;
                Some(found.1.into())
            })
        };
        assert!(is_found(&[("BROWSER", "x")]) && !is_found(&[("BROWSER", "")]));
        if cfg!(target_os = "macos") {
            assert!(is_found(&[("PATH", path)]));
            assert!(!is_found(&[("PATH", path), ("SSH_CONNECTION", "x")]));
        } else {
            assert!(is_found(&[("PATH", path), ("DISPLAY", ":0")]));
            assert!(is_found(&[
                ("PATH", path),
                ("WAYLAND_DISPLAY", "wayland-0")
            ]));
            assert!(!is_found(&[("PATH", path)]));
        }
        assert!(!is_found(&[("PATH", "/nonexistent"), ("DISPLAY", ":0")]));
    }
}
