//! [`ListeningProcess`]: names the process that has a port or a unix socket in use.

use std::{fmt, net::SocketAddr};

use crate::printable::excerpt;

/// The longest name of a command, in characters. The kernel cuts names to 15 bytes.
const MAX_NAME: usize = 15;

/// A process that listens, as far as the system tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListeningProcess {
    /// A process whose descriptors this one may see.
    Known {
        /// Its id.
        pid: u32,
        /// The name of its command; empty if it is not known. Its arguments may hold secrets.
        command: String,
    },
    /// A process of another user.
    OfUser {
        /// The uid of the user.
        uid: u32,
    },
}

impl ListeningProcess {
    /// Returns the process with an id.
    pub(super) fn of_pid(pid: u32) -> Self {
        let command = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        let command = excerpt(&String::from_utf8_lossy(&command), MAX_NAME);
        Self::Known { pid, command }
    }

    /// Returns the process that keeps `address` from being bound.
    #[cfg(target_os = "linux")]
    pub(super) fn at(address: SocketAddr) -> Option<Self> {
        let socket = super::socket_owner::listener_at(address)?;
        Some(match pid_of_socket(socket.inode) {
            Some(pid) => Self::of_pid(pid),
            None => Self::OfUser { uid: socket.uid },
        })
    }

    /// Returns nothing: the system does not tell.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn at(_: SocketAddr) -> Option<Self> {
        None
    }
}

/// Finds the process that holds a socket, among those whose descriptors this process may see (proc(5)).
#[cfg(target_os = "linux")]
fn pid_of_socket(inode: u64) -> Option<u32> {
    use std::{fs, path::Path};

    let expected = format!("socket:[{inode}]");
    let holds_it = |pid: u32| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
        let mut descriptors = descriptors.into_iter().flatten().flatten();
        descriptors.any(|descriptor| {
            fs::read_link(descriptor.path()).is_ok_and(|to| to == Path::new(&expected))
        })
    };
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    pids.find(|pid| holds_it(*pid))
}

impl fmt::Display for ListeningProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known { pid, command } if command.is_empty() => write!(f, "process {pid}"),
            Self::Known { pid, command } => write!(f, "{command}, process {pid}"),
            Self::OfUser { uid } => write!(f, "a process of the user with uid {uid}"),
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_in_the_way_is_found_at_its_address_and_every_one() {
        let pid = std::process::id();
        for (bound, wanted) in [
            ("127.0.0.1:0", "127.0.0.1"),
            ("127.0.0.1:0", "0.0.0.0"),
            ("0.0.0.0:0", "127.0.0.1"),
            ("[::1]:0", "::1"),
            ("[::]:0", "127.0.0.1"),
        ] {
            let listener = TcpListener::bind(bound).unwrap();
            let port = listener.local_addr().unwrap().port();
            let address = SocketAddr::new(wanted.parse().unwrap(), port);
            match ListeningProcess::at(address).unwrap() {
                ListeningProcess::Known { pid: found, .. } => assert_eq!(found, pid),
                other @ ListeningProcess::OfUser { .. } => panic!("{bound} {wanted} {other:?}"),
            }
        }
        let listener = TcpListener::bind("127.0.0.2:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let elsewhere = SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(ListeningProcess::at(elsewhere), None);
    }

    #[test]
    fn a_process_is_shown_without_its_arguments() {
        let shown = ListeningProcess::of_pid(std::process::id()).to_string();
        let id = format!(", process {}", std::process::id());
        assert!(shown.ends_with(&id) && !shown.contains("--"), "{shown}");
        let forged = ListeningProcess::OfUser { uid: 33 }.to_string();
        assert_eq!(forged, "a process of the user with uid 33");
    }
}
