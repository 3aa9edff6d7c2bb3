//! The processes that a plugin has started, in any process group. They are read from `/proc`, so on
//! Linux only; on other systems only the plugin's own process group is known.

use std::{collections::HashSet, fs};

use rustix::process::{Pid, Signal, kill_process};

/// Processes that are to be stopped.
#[derive(Default)]
pub(super) struct Descendants(Vec<Process>);

/// One of them. Its start time distinguishes it from a later process with the same number.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    group: i32,
    started: u64,
    is_dead: bool,
}

impl Descendants {
    /// The processes that descend from `root`, and with `own_group` those of its process group;
    /// without `root` itself.
    pub(super) fn of(root: i32, own_group: bool) -> Self {
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

    /// Sends `signal` to those that are still running.
    pub(super) fn signal(&self, signal: Signal) {
        for process in self.0.iter().filter(|process| process.is_running()) {
            if let Some(pid) = Pid::from_raw(process.pid)
                && let Err(error) = kill_process(pid, signal)
            {
                tracing::debug!(%error, "a process that a plugin started could not be signalled");
            }
        }
    }

    /// Whether one of them is still running.
    pub(super) fn are_running(&self) -> bool {
        self.0.iter().any(Process::is_running)
    }

    /// Adds those of `other`.
    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl Process {
    fn is_running(&self) -> bool {
        read(self.pid).is_some_and(|now| now.started == self.started && !now.is_dead)
    }
}

/// Whether a process is running; a zombie is not. `None` if the system does not say.
pub(super) fn is_running(pid: i32) -> Option<bool> {
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

/// Reads `proc_pid_stat(5)`; the name in parentheses may contain any characters.
fn read(pid: i32) -> Option<Process> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let is_dead = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    // The 22nd field; five precede it here, with the number and the name.
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
    fn this_process_is_read_from_proc() {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        let own = read(pid).unwrap();
        let parent = rustix::process::getppid().unwrap().as_raw_nonzero().get();
        let group = rustix::process::getpgrp().as_raw_nonzero().get();
        assert_eq!((own.parent, own.group, own.is_dead), (parent, group, false));
        assert!(own.started > 0 && own.is_running());
        let other = Process {
            started: own.started + 1,
            ..own
        };
        assert!(
            !other.is_running(),
            "taken for an earlier process of its number"
        );
    }
}
