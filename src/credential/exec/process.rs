//! Runs a plugin to its end, whatever it does: hang, flood, ignore signals, leave children.

use std::{
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
    time::{sleep, timeout},
};
use zeroize::Zeroizing;

use crate::descriptors;

/// Bytes that a plugin may print.
const STDOUT_LIMIT: usize = 1 << 20;

/// Bytes that are kept of the end of standard error.
const STDERR_KEPT: usize = 8 << 10;

/// How long a plugin may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// Without a terminal.
    pub(super) run: Duration,
    /// With a terminal, where a human types.
    pub(super) interactive: Duration,
    /// Between SIGTERM and SIGKILL.
    pub(super) grace: Duration,
    /// Between the plugin's exit and the end of its output, where a child of it holds the pipe.
    pub(super) drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            run: Duration::from_secs(60),
            interactive: Duration::from_secs(5 * 60),
            grace: Duration::from_secs(1),
            drain: Duration::from_secs(1),
        }
    }
}

impl Timeouts {
    pub(super) fn limit(&self, interactive: bool) -> Duration {
        if interactive {
            self.interactive
        } else {
            self.run
        }
    }
}

/// What a plugin wrote.
pub(super) struct Output {
    pub(super) stdout: Zeroizing<Vec<u8>>,
    pub(super) stderr: Tail,
}

/// Why a plugin did not end by itself.
pub(super) enum Halt {
    /// It could not be started.
    Spawn(io::Error),
    /// The system failed us while it ran.
    Lost(io::Error),
    /// It printed more than [`STDOUT_LIMIT`].
    TooMuch,
    /// It took longer than its [`Timeouts`], and had written this.
    TimedOut(Output),
}

/// Runs `command` and captures what it writes. Where it is stopped, so is its whole process
/// group; with the terminal it stays in ours, the terminal's foreground, and is stopped alone.
/// Dropping the future kills the plugin too.
pub(super) async fn run(
    mut command: Command,
    interactive: bool,
    timeouts: &Timeouts,
) -> Result<(ExitStatus, Output), Halt> {
    command.stdout(Stdio::piped());
    if interactive {
        command.stdin(Stdio::inherit()).stderr(Stdio::inherit());
    } else {
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        command.process_group(0);
    }
    let child = command.spawn().map_err(Halt::Spawn)?;
    descriptors::lower_for(child.id());
    // Lets go of the secrets in the environment.
    drop(command);
    let mut running = Running {
        child,
        own_group: !interactive,
    };
    // Never grows, so that no copy of a secret stays behind.
    let mut stdout = Zeroizing::new(Vec::with_capacity(STDOUT_LIMIT + 1));
    let mut stderr = Tail::default();
    let ended = {
        let conversation = running.converse(&mut stdout, &mut stderr, timeouts.drain);
        timeout(timeouts.limit(interactive), conversation).await
    };
    match ended {
        Ok(Ok(status)) => Ok((status, Output { stdout, stderr })),
        Ok(Err(halt)) => {
            running.stop(timeouts.grace).await;
            Err(halt)
        }
        Err(_) => {
            running.stop(timeouts.grace).await;
            Err(Halt::TimedOut(Output { stdout, stderr }))
        }
    }
}

struct Running {
    child: Child,
    own_group: bool,
}

impl Running {
    /// Reads until both pipes end and the plugin has exited; a pipe that outlives the plugin is
    /// given up after `drain`.
    async fn converse(
        &mut self,
        stdout: &mut Vec<u8>,
        stderr: &mut Tail,
        drain: Duration,
    ) -> Result<ExitStatus, Halt> {
        let (out, err) = (self.child.stdout.take(), self.child.stderr.take());
        let reading = async { tokio::try_join!(read_all(out, stdout), read_tail(err, stderr)) };
        tokio::pin!(reading);
        let status = tokio::select! {
            read = &mut reading => {
                read?;
                return self.child.wait().await.map_err(Halt::Lost);
            }
            status = self.child.wait() => status.map_err(Halt::Lost)?,
        };
        match timeout(drain, reading).await {
            Ok(read) => read.map(|_| status),
            Err(_) => Ok(status),
        }
    }

    async fn stop(&mut self, grace: Duration) {
        // The plugin is not waited for before the second signal: while it is a zombie, the
        // number of its group cannot be given to anybody else.
        self.signal(Signal::TERM);
        sleep(grace).await;
        self.signal(Signal::KILL);
        if timeout(grace, self.child.wait()).await.is_err() {
            tracing::warn!(pid = self.child.id(), "a plugin does not die of SIGKILL");
        }
    }

    fn signal(&self, signal: Signal) {
        // None once it was waited for, when the number may be another's.
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else {
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
        self.signal(Signal::KILL);
    }
}

async fn read_all(pipe: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) -> Result<(), Halt> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    while pipe.read_buf(into).await.map_err(Halt::Lost)? > 0 {
        if into.len() > STDOUT_LIMIT {
            return Err(Halt::TooMuch);
        }
    }
    Ok(())
}

async fn read_tail(pipe: Option<impl AsyncRead + Unpin>, into: &mut Tail) -> Result<(), Halt> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    while pipe.read_buf(&mut into.bytes).await.map_err(Halt::Lost)? > 0 {
        into.trim();
    }
    Ok(())
}

/// The end of a text.
#[derive(Default)]
pub(super) struct Tail {
    pub(super) bytes: Vec<u8>,
    /// Whether there was more before it.
    pub(super) is_cut: bool,
}

impl Tail {
    fn trim(&mut self) {
        if self.bytes.len() > 2 * STDERR_KEPT {
            self.bytes.drain(..self.bytes.len() - STDERR_KEPT);
            self.is_cut = true;
        }
    }
}
