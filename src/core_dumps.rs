//! Core dumps: none of this process, whose memory holds credentials.
//!
//! A limit of 0 keeps the system from writing one to a file, and a process that is not dumpable
//! from handing one to a program (core(5)). On Linux, nobody but root can then read the process's
//! memory by a debugger or `/proc` either.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What children are to have again.
static AT_START: OnceLock<Rlimit> = OnceLock::new();

/// Forbids core dumps of this process. To be called before anything secret is read.
pub fn forbid() {
    let now = getrlimit(Resource::Core);
    let none = Rlimit {
        current: Some(0),
        ..now
    };
    match setrlimit(Resource::Core, none) {
        Ok(()) => {
            AT_START.get_or_init(|| now);
        }
        Err(error) => tracing::debug!(%error, "cannot limit core dumps to none"),
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) =
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
    {
        tracing::debug!(%error, "cannot make the process not dumpable");
    }
}

/// Gives a child the limit that was ours before [`forbid`]. That it may be dumped comes with its
/// execve(2).
pub fn allow_for(child: Option<u32>) {
    #[cfg(target_os = "linux")]
    if let Some(at_start) = AT_START.get()
        && let Some(pid) = child.and_then(|id| i32::try_from(id).ok())
        && let Some(pid) = rustix::process::Pid::from_raw(pid)
        // One that has ended already needs it no more.
        && let Err(error) = rustix::process::prlimit(Some(pid), Resource::Core, *at_start)
        && error != rustix::io::Errno::SRCH
    {
        tracing::debug!(%error, "cannot give a child its limit of core dumps");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = child;
}
