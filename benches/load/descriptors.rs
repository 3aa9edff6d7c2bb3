//! How many files a process may open.

use std::io;

use rustix::process::{Resource, getrlimit, setrlimit};

/// Lets this process open as many files as it may at all.
pub fn raise_limit() -> io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}
