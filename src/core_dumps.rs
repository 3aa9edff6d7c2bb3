//! Prevents core dumps of this process, whose memory holds credentials.
//!
//! A limit of 0 prevents a dump to a file, and a process that is not dumpable is not dumped to a
//! program either (core(5)). On Linux, only root can then read the memory of the process through a
//! debugger or `/proc`.

use std::{
    io,
    sync::{Mutex, OnceLock, PoisonError},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit that child processes get back.
static AT_START: OnceLock<Rlimit> = OnceLock::new();

/// A protection against core dumps that the system refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The limit on the size of core files is unchanged.
    #[error("cannot set the limit on core dumps to 0, so one may be written to a file")]
    Limit(#[source] io::Error),
    /// The process is still dumpable.
    #[error(
        "cannot make the process non-dumpable, so its memory can be read through /proc or by a \
         core dump handler"
    )]
    Dumpable(#[source] io::Error),
}

/// Forbids core dumps of this process, and returns what could not be forbidden. Call it before
/// anything secret is read; as the log is not set up by then, the caller reports the errors later.
#[must_use]
pub fn forbid() -> Vec<Error> {
    let mut errors = Vec::new();
    let now = getrlimit(Resource::Core);
    let none = Rlimit {
        current: Some(0),
        ..now
    };
    match setrlimit(Resource::Core, none) {
        Ok(()) => {
            AT_START.get_or_init(|| now);
        }
        Err(error) => errors.push(Error::Limit(error.into())),
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) =
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
    {
        errors.push(Error::Dumpable(error.into()));
    }
    errors
}

/// Calls `spawn` with the limit that this process had before [`forbid`], which the child inherits.
/// execve(2) makes the child dumpable again, while this process stays non-dumpable meanwhile.
pub fn allow_for<T>(spawn: impl FnOnce() -> T) -> T {
    /// Two threads that spawn at the same time must not see each other's change of the limit.
    static SPAWNING: Mutex<()> = Mutex::new(());
    let Some(at_start) = AT_START.get() else {
        return spawn();
    };
    let _spawning = SPAWNING.lock().unwrap_or_else(PoisonError::into_inner);
    let own = getrlimit(Resource::Core);
    set(*at_start);
    let spawned = spawn();
    set(own);
    spawned
}

fn set(limit: Rlimit) {
    if let Err(error) = setrlimit(Resource::Core, limit) {
        tracing::debug!(%error, "cannot set the limit on core dumps");
    }
}
