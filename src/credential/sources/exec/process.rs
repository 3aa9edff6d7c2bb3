//! Runs a plugin to its end, whatever it does: hang, flood, ignore signals, leave children.

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
    ending,
    relay::Relay,
    stderr::{STDERR_KEPT, Tail},
    tree::{self, Tree},
};
use crate::{console, core_dumps, descriptors};

/// Bytes that a plugin may print.
const STDOUT_LIMIT: usize = 1 << 20;

/// How often it is looked whether a plugin that was asked to end has done so.
const LOOK: Duration = Duration::from_millis(10);

/// How long a plugin may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// Without a terminal; [`Duration::MAX`]: without end.
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
            run: Duration::from_secs(3 * 60),
            interactive: Duration::from_secs(5 * 60),
            grace: Duration::from_secs(1),
            drain: Duration::from_secs(1),
        }
    }
}

impl Timeouts {
    /// `limit` in place of the defaults, with a terminal and without; none where it is zero.
    pub(super) fn within(limit: Duration) -> Self {
        let limit = if limit.is_zero() {
            Duration::MAX
        } else {
            limit
        };
        Self {
            run: limit,
            interactive: limit,
            ..Self::default()
        }
    }

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
    /// This process is about to end.
    Ended,
}

/// Runs `command` and captures what it writes; what it says on standard error goes to `relay` too.
/// Where it is stopped, so is its whole process group, and whatever it started; with the terminal
/// it stays in our group, the terminal's foreground. Dropping the future kills it all the same.
pub(super) async fn run(
    mut command: Command,
    interactive: bool,
    timeouts: &Timeouts,
    relay: &mut Relay<'_>,
) -> Result<(ExitStatus, Output), Halt> {
    command.stdout(Stdio::piped());
    if interactive {
        command.stdin(Stdio::inherit());
    } else {
        command.stdin(Stdio::null());
        command.process_group(0);
    }
    // Who has the terminal talks to it: a question has no line end, and some look whether it is one.
    let talks_to_terminal = interactive && console::is_on_terminal();
    command.stderr(if talks_to_terminal {
        Stdio::inherit()
    } else {
        Stdio::piped()
    });
    if talks_to_terminal {
        relay.leave_terminal();
    }
    if ending::has_begun() {
        return Err(Halt::Ended);
    }
    descriptors::restore_for(command.as_std_mut());
    let child = core_dumps::allow_for(|| command.spawn()).map_err(Halt::Spawn)?;
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
        let conversation = running.converse(&mut stdout, &mut stderr, relay, timeouts.drain);
        tokio::select! {
            ended = timeout(timeouts.limit(interactive), conversation) => Some(ended),
            () = ending::begun() => None,
        }
    };
    relay.end(&stdout);
    match ended {
        Some(Ok(Ok(status))) => Ok((status, Output { stdout, stderr })),
        Some(Ok(Err(halt))) => {
            running.stop(timeouts.grace).await;
            Err(halt)
        }
        Some(Err(_)) => {
            running.stop(timeouts.grace).await;
            Err(Halt::TimedOut(Output { stdout, stderr }))
        }
        None => {
            running.stop(timeouts.grace).await;
            Err(Halt::Ended)
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
        relay: &mut Relay<'_>,
        drain: Duration,
    ) -> Result<ExitStatus, Halt> {
        let (mut out, mut err) = (self.child.stdout.take(), self.child.stderr.take());
        let mut said = Vec::with_capacity(STDERR_KEPT);
        let mut ended: Option<(ExitStatus, Instant)> = None;
        loop {
            if let Some((status, _)) = ended
                && out.is_none()
                && err.is_none()
            {
                return Ok(status);
            }
            let given_up = ended.map(|(_, at)| at + drain);
            tokio::select! {
                // What was printed first is known before what was said next is shown; and a flood
                // of that holds nothing else up.
                biased;
                read = read(&mut out, stdout) => {
                    if read.map_err(Halt::Lost)? == 0 {
                        out = None;
                    } else if stdout.len() > STDOUT_LIMIT {
                        return Err(Halt::TooMuch);
                    }
                }
                status = self.child.wait(), if ended.is_none() => {
                    ended = Some((status.map_err(Halt::Lost)?, Instant::now()));
                }
                status = over(ended, given_up) => return Ok(status),
                read = read(&mut err, &mut said) => {
                    if read.map_err(Halt::Lost)? == 0 {
                        err = None;
                    }
                    stderr.push(&said);
                    relay.take(&said, stdout);
                    said.clear();
                }
                () = sleep_until(relay.due()) => relay.pass(stdout),
            }
        }
    }

    /// Has the plugin and what it started end: asks for it first.
    async fn stop(&mut self, grace: Duration) {
        // The plugin is not waited for before the second signal: while it is a zombie, the
        // number of its group cannot be given to anybody else.
        let Some(pid) = self.pid() else { return };
        let mut tree = Tree::below(pid, self.own_group);
        self.signal(Signal::TERM);
        tree.signal(Signal::TERM);
        let asked = Instant::now();
        while asked.elapsed() < grace && (tree::runs(pid) != Some(false) || tree.lives()) {
            sleep(LOOK).await;
        }
        tree.join(Tree::below(pid, self.own_group));
        self.signal(Signal::KILL);
        tree.signal(Signal::KILL);
        if timeout(grace, self.child.wait()).await.is_err() {
            tracing::warn!(pid = self.child.id(), "a plugin does not die of SIGKILL");
        }
    }

    /// `None` once it was waited for, when the number may be another's.
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
            let tree = Tree::below(pid, self.own_group);
            self.signal(Signal::KILL);
            tree.signal(Signal::KILL);
        }
    }
}

/// Reads what has come; never returns where there is no pipe.
async fn read(pipe: &mut Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) -> io::Result<usize> {
    match pipe {
        Some(pipe) => pipe.read_buf(into).await,
        None => pending().await,
    }
}

/// How the plugin ended, once its pipes are given up.
async fn over(ended: Option<(ExitStatus, Instant)>, given_up: Option<Instant>) -> ExitStatus {
    match (ended, given_up) {
        (Some((status, _)), Some(at)) => {
            sleep_until(at).await;
            status
        }
        _ => pending().await,
    }
}
