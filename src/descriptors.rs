//! File descriptors: how many this process may open, and the limit of its children.

use std::{error::Error, io, os::unix::process::CommandExt as _, process::Command, sync::OnceLock};

use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

/// The highest limit that macOS accepts if its hard limit is unlimited (`OPEN_MAX`, setrlimit(2)).
const OPEN_MAX: u64 = 10_240;

/// The limit before [`raise`].
static AT_START: OnceLock<Rlimit> = OnceLock::new();

/// Raises the soft limit to the hard limit. The soft limit is low for programs that use select(2),
/// which kubegate does not.
pub fn raise() {
    let now = getrlimit(Resource::Nofile);
    let wanted = now.maximum.or(Some(OPEN_MAX));
    if now.current.is_none() || now.current >= wanted {
        return;
    }
    let raised = Rlimit {
        current: wanted,
        ..now
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => {
            AT_START.get_or_init(|| now);
        }
        Err(error) => tracing::debug!(%error, "cannot raise the limit of open files"),
    }
}

/// Returns how many descriptors may be open.
#[must_use]
pub fn limit() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    })
}

/// Returns how many descriptors are open, or `None` if the system does not say.
#[must_use]
pub fn open() -> Option<usize> {
    let open = std::fs::read_dir("/dev/fd").ok()?.count();
    // Reading the folder opens one more.
    Some(open.saturating_sub(1))
}

/// Has `command` start its program with the limit that this process had before [`raise`]: the
/// program may use select(2), or close every descriptor up to the limit.
pub fn restore_for(command: &mut Command) {
    let Some(at_start) = AT_START.get() else {
        return;
    };
    let at_start = *at_start;
    let restore = move || Ok(setrlimit(Resource::Nofile, at_start)?);
    // Lowering the limit of this process around the spawn would make other threads run out of
    // descriptors; prlimit(2) on the child would come after its first instructions.
    // SAFETY: between fork and exec only async-signal-safe work is allowed. `restore` makes one
    // system call with a value that it owns; it neither allocates nor locks.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(restore);
    }
}

/// Returns whether `error` was caused by a lack of descriptors.
#[must_use]
pub fn ran_out(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            let code = error.raw_os_error();
            if code == Some(Errno::MFILE.raw_os_error())
                || code == Some(Errno::NFILE.raw_os_error())
            {
                return true;
            }
            // The error that an io::Error wraps is not its source().
            if let Some(within) = error.get_ref()
                && ran_out(within)
            {
                return true;
            }
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_descriptors_is_found_within_other_errors() {
        let of_process = io::Error::from_raw_os_error(Errno::MFILE.raw_os_error());
        let of_system = io::Error::from_raw_os_error(Errno::NFILE.raw_os_error());
        assert!(ran_out(&of_process));
        assert!(ran_out(&io::Error::other(io::Error::other(of_system))));
        let refused = io::Error::from_raw_os_error(Errno::CONNREFUSED.raw_os_error());
        assert!(!ran_out(&io::Error::other(refused)));
    }

    #[test]
    fn fewer_descriptors_are_open_than_allowed() {
        assert!(open().is_some_and(|open| (3..limit()).contains(&open)));
    }
}
