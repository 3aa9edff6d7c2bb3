//! Core dumps: none of this process, whose memory holds credentials.
//!
//! A limit of 0 keeps the system from writing one to a file, and a process that is not dumpable
//! from handing one to a program (core(5)). On Linux, nobody but root can then read the process's
//! memory by a debugger or `/proc` either.

use std::sync::{Mutex, OnceLock, PoisonError};

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

/// Has `spawn` start a child with the limit that was ours before [`forbid`]. That it may be dumped
/// comes with its execve(2); we may not, whatever the limit, where the system has both.
pub fn allow_for<T>(spawn: impl FnOnce() -> T) -> T {
    /// Of two children that are started at once, one would get the limit that is set behind the other.
    static TURN: Mutex<()> = Mutex::new(());
    let Some(at_start) = AT_START.get() else {
        return spawn();
    };
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let ours = getrlimit(Resource::Core);
    set(*at_start);
    let spawned = spawn();
    set(ours);
    spawned
}

fn set(limit: Rlimit) {
    if let Err(error) = setrlimit(Resource::Core, limit) {
        tracing::debug!(%error, "cannot set the limit of core dumps");
    }
}
