//! Socket activation: listening sockets that systemd, or a program like it, opened for this process
//! (`sd_listen_fds(3)`).
//!
//! The sockets are the descriptors from 3 on. `LISTEN_FDS` says how many there are, `LISTEN_FDNAMES` how
//! they are called (`FileDescriptorName=` of the unit), and `LISTEN_PID` for which process they are.

use std::{
    env,
    ffi::OsString,
    fs,
    os::fd::{FromRawFd as _, OwnedFd, RawFd},
    path::Path,
    sync::{Mutex, PoisonError},
};

use rustix::io::{FdFlags, fcntl_setfd};

const PID: &str = "LISTEN_PID";
const COUNT: &str = "LISTEN_FDS";
const NAMES: &str = "LISTEN_FDNAMES";

/// `SD_LISTEN_FDS_START`
const FIRST: RawFd = 3;
/// The most descriptors that are taken.
const MAX: RawFd = 64;

/// A descriptor that was handed over.
#[derive(Debug)]
pub struct Descriptor {
    /// Its name; `None` if the descriptors have no names.
    pub name: Option<String>,
    /// The descriptor, which is not passed on to child processes.
    pub fd: OwnedFd,
}

/// Why the variables cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A variable has no number.
    #[error(
        "{0}: is not a number from 0 to {MAX}; the program that starts kubegate must set it (sd_listen_fds(3))"
    )]
    Number(&'static str),
    /// There are more or fewer names than descriptors.
    #[error(
        "{NAMES}: has {names} names, and {COUNT} says that there are {count} descriptors; the program that \
         starts kubegate must set both (sd_listen_fds(3))"
    )]
    Names {
        /// Names in `LISTEN_FDNAMES`.
        names: usize,
        /// Descriptors by `LISTEN_FDS`.
        count: usize,
    },
    /// A descriptor is not open.
    #[error(
        "{COUNT}: descriptor {0} is not open; the program that starts kubegate must open it (sd_listen_fds(3))"
    )]
    NotOpen(RawFd),
}

static RECEIVED: Mutex<Result<Vec<Descriptor>, Error>> = Mutex::new(Ok(Vec::new()));

/// Takes the descriptors that were handed over, and removes the variables, so that child processes get
/// neither. Must come first in `main`: no other thread may run, and no other file be open.
pub fn receive() {
    let variables = [PID, COUNT, NAMES].map(env::var_os);
    for name in [PID, COUNT, NAMES] {
        if env::var_os(name).is_some() {
            // SAFETY: the process has one thread yet, so that no other reads the environment.
            #[allow(unsafe_code)]
            unsafe {
                env::remove_var(name);
            }
        }
    }
    let received = names(variables, std::process::id()).and_then(|names| {
        let numbered = (FIRST..).zip(names);
        numbered.map(|(number, name)| open(number, name)).collect()
    });
    *RECEIVED.lock().unwrap_or_else(PoisonError::into_inner) = received;
}

/// Returns the descriptors that [`receive`] took; none at a second call.
///
/// # Errors
/// The variables contradict each other or what is open.
pub fn take() -> Result<Vec<Descriptor>, Error> {
    let mut received = RECEIVED.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::replace(&mut *received, Ok(Vec::new()))
}

fn open(number: RawFd, name: Option<String>) -> Result<Descriptor, Error> {
    if fs::symlink_metadata(Path::new("/dev/fd").join(number.to_string())).is_err() {
        return Err(Error::NotOpen(number));
    }
    // SAFETY: the descriptor is open, and nothing else owns it: it was handed over for this process, which
    // has opened none above the standard streams yet.
    #[allow(unsafe_code)]
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    // Fails only for a descriptor that is not open.
    let _ = fcntl_setfd(&fd, FdFlags::CLOEXEC);
    Ok(Descriptor { name, fd })
}

/// Returns the names of the descriptors by the values of `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES`.
/// There are none if they are for another process.
fn names(
    [pid, count, names]: [Option<OsString>; 3],
    own_pid: u32,
) -> Result<Vec<Option<String>>, Error> {
    let (Some(pid), Some(count)) = (pid, count) else {
        return Ok(Vec::new());
    };
    let number = |text: &OsString| text.to_str()?.parse::<u32>().ok();
    if number(&pid).ok_or(Error::Number(PID))? != own_pid {
        return Ok(Vec::new());
    }
    let count = number(&count).and_then(|count| RawFd::try_from(count).ok());
    let count = count.filter(|count| *count <= MAX);
    let count = count.and_then(|count| usize::try_from(count).ok());
    let count = count.ok_or(Error::Number(COUNT))?;
    let Some(names) = names else {
        return Ok(vec![None; count]);
    };
    let names = names.to_string_lossy();
    let names: Vec<_> = names.split(':').map(|name| Some(name.to_owned())).collect();
    if names.len() != count {
        let names = names.len();
        return Err(Error::Names { names, count });
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: [Option<&str>; 3]) -> Result<Vec<Option<String>>, Error> {
        names(variables.map(|value| value.map(OsString::from)), 42)
    }

    #[test]
    fn descriptors_of_this_process_have_their_names() {
        let named = |names: &[&str]| {
            let names = names.iter().map(|name| Some((*name).to_owned()));
            Ok(names.collect::<Vec<_>>())
        };
        let two = read([Some("42"), Some("2"), Some("proxy:admin")]);
        assert_eq!(two, named(&["proxy", "admin"]));
        let unnamed = read([Some("42"), Some("2"), None]);
        assert_eq!(unnamed, Ok(vec![None, None]));
        assert_eq!(read([Some("42"), Some("1"), Some("")]), named(&[""]));
    }

    #[test]
    fn those_of_another_process_are_left_alone() {
        for variables in [
            [None, None, None],
            [Some("43"), Some("1"), None],
            [None, Some("1"), Some("proxy")],
            [Some("42"), None, None],
            [Some("42"), Some("0"), None],
        ] {
            assert_eq!(read(variables), Ok(Vec::new()), "{variables:?}");
        }
    }

    #[test]
    fn variables_that_contradict_each_other_are_refused() {
        for count in ["-1", "x", "", "65", "4294967296"] {
            let refused = read([Some("42"), Some(count), None]);
            assert_eq!(refused, Err(Error::Number(COUNT)), "{count}");
        }
        let refused = read([Some("me"), Some("1"), None]);
        assert_eq!(refused, Err(Error::Number(PID)));
        let refused = read([Some("42"), Some("2"), Some("proxy")]);
        assert_eq!(refused, Err(Error::Names { names: 1, count: 2 }));
    }
}
