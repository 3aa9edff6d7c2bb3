//! Runs a plugin to its end, even if it hangs, floods its output, ignores signals or leaves
//! children.

use std::{
    future::pending,
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
    time::{Instant, sleep, sleep_until, timeout},
};
use zeroize::Zeroizing;

use super::{
    descendants::{self, Descendants},
    shutdown,
    stderr::{STDERR_KEPT, Tail},
    stderr_log::StderrLog,
    timeouts::Timeouts,
};
use crate::{console, core_dumps, descriptors};

/// Bytes that a plugin may print.
const STDOUT_LIMIT: usize = 1 << 20;

/// How often a plugin that got SIGTERM is checked for its end.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// The output of a plugin.
pub(super) struct Output {
    pub(super) stdout: Zeroizing<Vec<u8>>,
    pub(super) stderr: Tail,
}

/// Why a plugin did not end on its own.
pub(super) enum RunError {
    /// It could not be started.
    Spawn(io::Error),
    /// The system returned an error while it ran.
    Lost(io::Error),
    /// It printed more than [`STDOUT_LIMIT`].
    TooMuchOutput,
    /// It took longer than its [`Timeouts`]; this is its output until then.
    TimedOut(Output),
    /// This process is about to end.
    ShuttingDown,
}

/// Runs `command` and captures its output; standard error goes to `log` too. To stop it, its whole
/// process group is stopped, with all processes that it started. With the terminal it stays in
/// this process's group, the terminal's foreground. Dropping the future kills it too.
pub(super) async fn run(
    mut command: Command,
    interactive: bool,
    timeouts: &Timeouts,
    log: &mut StderrLog<'_>,
) -> Result<(ExitStatus, Output), RunError> {
    command.stdout(Stdio::piped());
    if interactive {
        command.stdin(Stdio::inherit());
    } else {
        command.stdin(Stdio::null());
        command.process_group(0);
    }
    // A plugin with the terminal writes to it directly: a question has no line end, and some
    // plugins check whether standard error is a terminal.
    let uses_terminal = interactive && console::is_on_terminal();
    command.stderr(if uses_terminal {
        Stdio::inherit()
    } else {
        Stdio::piped()
    });
    if uses_terminal {
        log.leave_terminal();
    }
    if shutdown::has_begun() {
        return Err(RunError::ShuttingDown);
    }
    descriptors::restore_for(command.as_std_mut());
    let child = core_dumps::allow_for(|| command.spawn()).map_err(RunError::Spawn)?;
    // It contains the secrets of the environment.
    drop(command);
    let mut running = Running {
        child,
        own_group: !interactive,
    };
    // It never grows, so that no copy of a secret is left behind.
    let mut stdout = Zeroizing::new(Vec::with_capacity(STDOUT_LIMIT + 1));
    let mut stderr = Tail::default();
    let ended = {
        let run = running.read_to_end(&mut stdout, &mut stderr, log, timeouts.drain);
        tokio::select! {
            ended = timeout(timeouts.limit(interactive), run) => Some(ended),
            () = shutdown::begun() => None,
        }
    };
    log.end(&stdout);
    match ended {
        Some(Ok(Ok(status))) => Ok((status, Output { stdout, stderr })),
        Some(Ok(Err(halt))) => {
            running.stop(timeouts.grace).await;
            Err(halt)
        }
        Some(Err(_)) => {
            running.stop(timeouts.grace).await;
            Err(RunError::TimedOut(Output { stdout, stderr }))
        }
        None => {
            running.stop(timeouts.grace).await;
            Err(RunError::ShuttingDown)
        }
    }
}

struct Running {
    child: Child,
    own_group: bool,
}

impl Running {
    /// Reads until both pipes end and the plugin has exited. A pipe that stays open after the exit
    /// is abandoned after `drain`.
    async fn read_to_end(
        &mut self,
        stdout: &mut Vec<u8>,
        stderr: &mut Tail,
        log: &mut StderrLog<'_>,
        drain: Duration,
    ) -> Result<ExitStatus, RunError> {
        let (mut out, mut err) = (self.child.stdout.take(), self.child.stderr.take());
        let mut part = Vec::with_capacity(STDERR_KEPT);
        let mut ended: Option<(ExitStatus, Instant)> = None;
        loop {
            if let Some((status, _)) = ended
                && out.is_none()
                && err.is_none()
            {
                return Ok(status);
            }
            let abandoned = ended.map(|(_, at)| at + drain);
            tokio::select! {
                // Standard output is read first, so that its secrets are known when a line of
                // standard error is logged; and a flood of such lines delays nothing else.
                biased;
                read = read(&mut out, stdout) => {
                    if read.map_err(RunError::Lost)? == 0 {
                        out = None;
                    } else if stdout.len() > STDOUT_LIMIT {
                        return Err(RunError::TooMuchOutput);
                    }
                }
                status = self.child.wait(), if ended.is_none() => {
                    ended = Some((status.map_err(RunError::Lost)?, Instant::now()));
                }
                status = exit_status_at(ended, abandoned) => return Ok(status),
                read = read(&mut err, &mut part) => {
                    if read.map_err(RunError::Lost)? == 0 {
                        err = None;
                    }
                    stderr.push(&part);
                    log.write(&part, stdout);
                    part.clear();
                }
                () = sleep_until(log.due()) => log.on_timer(stdout),
            }
        }
    }

    /// Stops the plugin and the processes that it started: with SIGTERM, then with SIGKILL.
    async fn stop(&mut self, grace: Duration) {
        // The plugin is not reaped before the second signal: while it is a zombie, the system
        // cannot give the number of its group to other processes.
        let Some(pid) = self.pid() else { return };
        let mut descendants = Descendants::of(pid, self.own_group);
        self.signal(Signal::TERM);
        descendants.signal(Signal::TERM);
        let signalled = Instant::now();
        while signalled.elapsed() < grace
            && (descendants::is_running(pid) != Some(false) || descendants.are_running())
        {
            sleep(CHECK_INTERVAL).await;
        }
        descendants.extend(Descendants::of(pid, self.own_group));
        self.signal(Signal::KILL);
        descendants.signal(Signal::KILL);
        if timeout(grace, self.child.wait()).await.is_err() {
            tracing::warn!(pid = self.child.id(), "a plugin does not die of SIGKILL");
        }
    }

    /// `None` once it was reaped, because the number may then be another process's.
    fn pid(&self) -> Option<i32> {
        self.child.id().and_then(|pid| i32::try_from(pid).ok())
    }

    fn signal(&self, signal: Signal) {
        let Some(pid) = self.pid().and_then(Pid::from_raw) else {
            return;
        };
        let sent = if self.own_group {
            kill_process_group(pid, signal)
        } else {
            kill_process(pid, signal)
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "a plugin could not be signalled");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let descendants = Descendants::of(pid, self.own_group);
            self.signal(Signal::KILL);
            descendants.signal(Signal::KILL);
        }
    }
}

/// Reads the bytes that have arrived; never returns if there is no pipe.
async fn read(pipe: &mut Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) -> io::Result<usize> {
    match pipe {
        Some(pipe) => pipe.read_buf(into).await,
        None => pending().await,
    }
}

/// Waits until the pipes are abandoned, and returns the plugin's exit status.
async fn exit_status_at(
    ended: Option<(ExitStatus, Instant)>,
    abandoned: Option<Instant>,
) -> ExitStatus {
    match (ended, abandoned) {
        (Some((status, _)), Some(at)) => {
            sleep_until(at).await;
            status
        }
        _ => pending().await,
    }
}
