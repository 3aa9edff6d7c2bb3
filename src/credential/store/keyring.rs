//! The OS's keyring, through the platform's own tool: `secret-tool` (the Secret Service of GNOME,
//! KDE and others) or macOS's `security`. Secrets are passed on standard input and never as
//! arguments, which all users of a machine can see.

use std::{
    io::{self, Read as _, Write as _},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

use super::Error;
use crate::descriptors;

/// How long the tool may take: it may have to ask for the keyring's own password.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes that the tool's output may have.
const LIMIT: u64 = 1 << 20;

const TOOL: &str = if cfg!(target_os = "macos") {
    "security"
} else {
    "secret-tool"
};
const SERVICE: &str = "kubegate";

/// Stores `plain` under `name`, which must need no quotes.
pub(super) fn store(name: &str, plain: &str) -> Result<(), Error> {
    // Some tools print other than ASCII in another form, so it is stored as base64.
    let text = Zeroizing::new(BASE64_STANDARD.encode(plain));
    let label = format!("kubegate login {name}");
    let output = if cfg!(target_os = "macos") {
        let line = format!(
            "add-generic-password -U -s {SERVICE} -a {name} -w {}\n",
            *text
        );
        run(&["-i"], &Zeroizing::new(line))?
    } else {
        let label = format!("--label={label}");
        run(&["store", &label, "service", SERVICE, "login", name], &text)?
    };
    // The item is read back, since macOS's tool truncates long lines without an error.
    if output.success && lookup(name).is_ok_and(|stored| *stored == *plain.as_bytes()) {
        return Ok(());
    }
    Err(Error::Keyring {
        problem: format!("{TOOL} did not store the login; is the keyring there and unlocked?"),
        source: None,
    })
}

/// Returns the item under `name`.
pub(super) fn lookup(name: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let output = if cfg!(target_os = "macos") {
        run(
            &["find-generic-password", "-s", SERVICE, "-a", name, "-w"],
            "",
        )?
    } else {
        run(&["lookup", "service", SERVICE, "login", name], "")?
    };
    let text = output.success.then_some(output.stdout);
    let text = text.and_then(|text| BASE64_STANDARD.decode(text.trim_ascii()).ok());
    text.map(Zeroizing::new).ok_or_else(|| Error::Keyring {
        problem: format!("{TOOL} found no login {name} in it; unlock the keyring, or log in again"),
        source: None,
    })
}

/// Removes the item under `name`, if there is one.
pub(super) fn clear(name: &str) -> Result<(), Error> {
    // The exit code is ignored: it is also not 0 if there was no item.
    if cfg!(target_os = "macos") {
        run(&["delete-generic-password", "-s", SERVICE, "-a", name], "")?;
    } else {
        run(&["clear", "service", SERVICE, "login", name], "")?;
    }
    Ok(())
}

struct ToolOutput {
    success: bool,
    stdout: Zeroizing<Vec<u8>>,
}

fn run(arguments: &[&str], input: &str) -> Result<ToolOutput, Error> {
    let mut command = Command::new(TOOL);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // It may quote the input.
        .stderr(Stdio::null());
    descriptors::restore_for(&mut command);
    let mut child = command.spawn().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::Keyring {
            problem: format!(
                "{TOOL} is not installed; install it (Debian, Ubuntu: libsecret-tools; Fedora, \
                 Arch: libsecret), or log in without --keyring"
            ),
            source: None,
        },
        _ => unusable(source),
    })?;
    let outcome = exchange(&mut child, input);
    if outcome.is_err() {
        // It may have ended already.
        let _ = child.kill();
    }
    let status = child.wait().map_err(unusable)?;
    Ok(ToolOutput {
        success: status.success(),
        stdout: outcome?,
    })
}

/// Writes the input and reads the output, in bounded time.
fn exchange(child: &mut Child, input: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    if let Some(mut stdin) = stdin {
        match stdin.write_all(input.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(unusable(error)),
            _ => {}
        }
    }
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Zeroizing::new(Vec::with_capacity(64 << 10));
        let read = stdout.map(|stdout| stdout.take(LIMIT).read_to_end(&mut text));
        // Fails if the receiver timed out.
        let _ = send.send(read.transpose().map(|_| text));
    });
    let read = receive.recv_timeout(TIMEOUT).map_err(|_| Error::Keyring {
        problem: format!("{TOOL} did not finish within {} s", TIMEOUT.as_secs()),
        source: None,
    })?;
    read.map_err(unusable)
}

fn unusable(source: io::Error) -> Error {
    Error::Keyring {
        problem: format!("{TOOL} cannot be used"),
        source: Some(source),
    }
}
