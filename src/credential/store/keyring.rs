//! The OS's keyring, through the platform's own tool: `secret-tool` (the Secret Service of GNOME,
//! KDE and others) or macOS's `security`. Secrets go in on standard input, never as arguments,
//! which all users of a machine can see.

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
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes that an item may have.
const LIMIT: u64 = 1 << 20;

const TOOL: &str = if cfg!(target_os = "macos") {
    "security"
} else {
    "secret-tool"
};
const SERVICE: &str = "kubegate";

/// Puts `text` under `name`, which must need no quotes.
pub(super) fn store(name: &str, plain: &str) -> Result<(), Error> {
    // As base64 it survives tools that print other than ASCII in another form.
    let text = Zeroizing::new(BASE64_STANDARD.encode(plain));
    let label = format!("kubegate login {name}");
    let ended = if cfg!(target_os = "macos") {
        let line = format!(
            "add-generic-password -U -s {SERVICE} -a {name} -w {}\n",
            *text
        );
        run(&["-i"], &Zeroizing::new(line))?
    } else {
        let label = format!("--label={label}");
        run(&["store", &label, "service", SERVICE, "login", name], &text)?
    };
    // Looked up again, since macOS's tool cuts long lines without a word.
    if ended.success && lookup(name).is_ok_and(|stored| *stored == *plain.as_bytes()) {
        return Ok(());
    }
    Err(Error::Keyring {
        problem: format!("{TOOL} did not store the login; is the keyring there and unlocked?"),
        source: None,
    })
}

/// What stands under `name`.
pub(super) fn lookup(name: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let ended = if cfg!(target_os = "macos") {
        run(
            &["find-generic-password", "-s", SERVICE, "-a", name, "-w"],
            "",
        )?
    } else {
        run(&["lookup", "service", SERVICE, "login", name], "")?
    };
    let text = ended.success.then_some(ended.stdout);
    let text = text.and_then(|text| BASE64_STANDARD.decode(text.trim_ascii()).ok());
    text.map(Zeroizing::new).ok_or_else(|| Error::Keyring {
        problem: format!("{TOOL} found no login {name} in it; unlock the keyring, or log in again"),
        source: None,
    })
}

/// Forgets what stands under `name`, if anything does.
pub(super) fn clear(name: &str) -> Result<(), Error> {
    // That there was nothing is told by the exit code too, so it says nothing here.
    if cfg!(target_os = "macos") {
        run(&["delete-generic-password", "-s", SERVICE, "-a", name], "")?;
    } else {
        run(&["clear", "service", SERVICE, "login", name], "")?;
    }
    Ok(())
}

struct Ended {
    success: bool,
    stdout: Zeroizing<Vec<u8>>,
}

fn run(arguments: &[&str], input: &str) -> Result<Ended, Error> {
    let mut command = Command::new(TOOL);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Its words may quote what it was given.
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
    let outcome = converse(&mut child, input);
    if outcome.is_err() {
        // It ended by itself, or is to.
        let _ = child.kill();
    }
    let status = child.wait().map_err(unusable)?;
    Ok(Ended {
        success: status.success(),
        stdout: outcome?,
    })
}

/// Hands over the input and reads the output, in bounded time.
fn converse(child: &mut Child, input: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
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
        // Nobody listens where it took too long.
        let _ = send.send(read.transpose().map(|_| text));
    });
    let read = receive.recv_timeout(PATIENCE).map_err(|_| Error::Keyring {
        problem: format!("{TOOL} did not finish within {} s", PATIENCE.as_secs()),
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
