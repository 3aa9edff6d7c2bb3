//! What a plugin has started, in whatever process group: as `/proc` tells, so on Linux alone. Elsewhere
//! a plugin's own process group is all that is known.

use std::{collections::HashSet, fs};

use rustix::process::{Pid, Signal, kill_process};

/// Processes that are to end.
#[derive(Default)]
pub(super) struct Tree(Vec<Process>);

/// One of them. When it started tells it from a later one with the same number.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    group: i32,
    started: u64,
    is_dead: bool,
}

impl Tree {
    /// The processes that descend from `root`, and those of its group where that is its own;
    /// without `root` itself.
    pub(super) fn below(root: i32, own_group: bool) -> Self {
        let all: Vec<Process> = all();
        let mut found = HashSet::from([root]);
        loop {
            let before = found.len();
            let belongs = |process: &&Process| {
                found.contains(&process.parent) || (own_group && process.group == root)
            };
            let more: Vec<i32> = all.iter().filter(belongs).map(|one| one.pid).collect();
            found.extend(more);
            if found.len() == before {
                break;
            }
        }
        let is_below = |process: &Process| process.pid != root && found.contains(&process.pid);
        Self(all.into_iter().filter(is_below).collect())
    }

    /// Sends `signal` to those that are still there.
    pub(super) fn signal(&self, signal: Signal) {
        for process in self.0.iter().filter(|process| process.lives()) {
            if let Some(pid) = Pid::from_raw(process.pid)
                && let Err(error) = kill_process(pid, signal)
            {
                tracing::debug!(%error, "a process that a plugin started could not be signalled");
            }
        }
    }

    /// Whether one of them is still there.
    pub(super) fn lives(&self) -> bool {
        self.0.iter().any(Process::lives)
    }

    /// Adds those of `other`.
    pub(super) fn join(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl Process {
    fn lives(&self) -> bool {
        read(self.pid).is_some_and(|now| now.started == self.started && !now.is_dead)
    }
}

/// Whether a process runs; one that only waits to be reaped does not. `None` where the system does
/// not tell.
pub(super) fn runs(pid: i32) -> Option<bool> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    Some(read(pid).is_some_and(|process| !process.is_dead))
}

fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(read).collect()
}

/// `proc_pid_stat(5)`; the name in parentheses may hold anything.
fn read(pid: i32) -> Option<Process> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let is_dead = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    // The 22nd field; five were read, with the number and the name.
    let started = fields.nth(16)?.parse().ok()?;
    Some(Process {
        pid,
        parent,
        group,
        started,
        is_dead,
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn this_process_is_read() {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        let own = read(pid).unwrap();
        let parent = rustix::process::getppid().unwrap().as_raw_nonzero().get();
        let group = rustix::process::getpgrp().as_raw_nonzero().get();
        assert_eq!((own.parent, own.group, own.is_dead), (parent, group, false));
        assert!(own.started > 0 && own.lives());
        let other = Process {
            started: own.started + 1,
            ..own
        };
        assert!(!other.lives(), "taken for an earlier process of its number");
    }
}
