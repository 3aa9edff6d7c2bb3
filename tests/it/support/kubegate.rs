//! The compiled program as a process.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{PATIENCE, Upstream, cert, secrets};

const BINARY: &str = env!("CARGO_BIN_EXE_kubegate");

/// A running kubegate. Ends with the test.
pub struct Kubegate {
    child: Child,
    /// The address after "Starting to serve on".
    pub address: String,
    /// The first line on standard output.
    greeting: String,
    stderr: Arc<Mutex<String>>,
    readers: Option<(JoinHandle<String>, JoinHandle<()>)>,
}

/// The result of a kubegate that ended by itself.
#[derive(Debug)]
pub struct Refused {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

/// A home that does not exist, and that root cannot create either.
pub const NO_HOME: &str = "/proc/nonexistent";

impl Kubegate {
    /// The program with an environment that does not depend on this machine, at its most verbose
    /// unless `args` say otherwise.
    pub fn command<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(args: I) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(["-v", "9"])
            .args(args)
            .env_clear()
            .stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", NO_HOME);
        command
    }

    /// Starts the program with `--port 0` and waits until it serves.
    pub fn start<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(args: I) -> Self {
        let mut command = Self::command(args);
        command.args(["--port", "0"]);
        Self::spawn(command)
    }

    /// Starts the program as a proxy for `upstream`, whose certificate it trusts, with the token
    /// `sesame` unless `args` say otherwise.
    pub fn before(upstream: &Upstream, args: &[&str]) -> Self {
        Self::before_url(&upstream.url(), args)
    }

    /// Like [`Self::before`], for the server at a URL.
    pub fn before_url(url: &str, args: &[&str]) -> Self {
        let mut command = Self::command(["--server", url]);
        if url.starts_with("https:") {
            command.arg("--certificate-authority").arg(cert("ca.pem"));
        }
        if !args
            .iter()
            .any(|arg| matches!(*arg, "--kubeconfig" | "--token"))
        {
            command.args(["--token", "sesame"]);
        }
        if !args.contains(&"--unix-socket") {
            command.args(["--port", "0"]);
        }
        command.args(args);
        Self::spawn(command)
    }

    /// Starts `command` and waits until it serves.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        secrets::watch(child.id());
        let stderr = Arc::new(Mutex::new(String::new()));
        let reader = std::thread::spawn({
            let (pipe, stderr) = (child.stderr.take().unwrap(), stderr.clone());
            move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let mut text = stderr.lock().unwrap();
                    text.push_str(&line);
                    text.push('\n');
                }
            }
        });
        let (greet, greeting) = mpsc::channel();
        let rest = std::thread::spawn({
            let mut stdout = BufReader::new(child.stdout.take().unwrap());
            move || {
                let (mut line, mut rest) = (String::new(), String::new());
                stdout.read_line(&mut line).unwrap();
                // An error means that starting took too long and the receiver is gone.
                let _ = greet.send(line);
                // Keep reading, so that the program never blocks on a full pipe.
                let _ = stdout.read_to_string(&mut rest);
                rest
            }
        });
        let line = greeting.recv_timeout(PATIENCE).unwrap_or_default();
        let Some(address) = line.strip_prefix("Starting to serve on ") else {
            let _ = child.kill();
            let _ = child.wait();
            reader.join().unwrap();
            panic!("it did not start: {line:?} {}", stderr.lock().unwrap());
        };
        let address = address.trim_end().to_owned();
        Self {
            child,
            address,
            greeting: line,
            stderr,
            readers: Some((rest, reader)),
        }
    }

    /// Runs the program, which must end by itself.
    pub fn refused(mut command: Command) -> Refused {
        command.stdout(Stdio::piped());
        Self::refused_into(command)
    }

    /// Like [`Kubegate::refused`], with the standard output that `command` has.
    pub fn refused_into(mut command: Command) -> Refused {
        let started = Instant::now();
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        Self::end_of(child, started)
    }

    /// Like [`Kubegate::refused`], and sends the program a signal once `is_ready` returns true. `took` is
    /// measured from the signal.
    pub fn signalled(
        mut command: Command,
        signal: Signal,
        mut is_ready: impl FnMut() -> bool,
    ) -> Refused {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command.spawn().unwrap();
        while !is_ready() {
            let ended = child.try_wait().unwrap();
            let is_late = ended.is_some() || started.elapsed() > PATIENCE;
            assert!(!is_late, "not ready: {:?}", Self::end_of(child, started));
            std::thread::sleep(Duration::from_millis(2));
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        Self::end_of(child, Instant::now())
    }

    fn end_of(mut child: Child, started: Instant) -> Refused {
        let status = wait(&mut child);
        let mut refused = Refused {
            code: status.and_then(|s| s.code()),
            stdout: String::new(),
            stderr: String::new(),
            took: started.elapsed(),
        };
        if let Some(mut stdout) = child.stdout.take() {
            stdout.read_to_string(&mut refused.stdout).unwrap();
        }
        let mut stderr = child.stderr.take().unwrap();
        stderr.read_to_string(&mut refused.stderr).unwrap();
        // Standard output is not searched: the secret may be what the command prints.
        secrets::assert_none("kubegate", &refused.stderr);
        refused
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory, in KiB.
    pub fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse().unwrap()
    }

    /// The number of its open files and sockets.
    pub fn open_files(&self) -> usize {
        let folder = std::fs::read_dir(format!("/proc/{}/fd", self.id()));
        folder.unwrap().count()
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Ends the program. Returns its log and the arguments of the processes that it started, without
    /// searching them for secrets.
    pub fn unsearched(mut self) -> (String, String) {
        self.cut();
        let arguments = secrets::watched(self.id());
        (std::mem::take(&mut *self.stderr.lock().unwrap()), arguments)
    }

    /// Kills the program, and waits a moment for the last lines of its log.
    fn cut(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A plugin that is still running may keep the log open.
        let until = Instant::now() + Duration::from_millis(200);
        let reads = |readers: &(_, JoinHandle<()>)| !readers.1.is_finished();
        while self.readers.as_ref().is_some_and(reads) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &id])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Sends a signal, and waits for the end.
    pub fn signal_and_end(self, name: &str) -> Refused {
        self.signal(name);
        self.ended()
    }

    /// Waits for its end. Returns the exit code (`None` if it was killed) and its log.
    pub fn wait(self) -> (Option<i32>, String) {
        let ended = self.ended();
        (ended.code, ended.stderr)
    }

    /// Waits for its end. Returns the exit code and its output. `took` is measured from this call.
    pub fn ended(mut self) -> Refused {
        let started = Instant::now();
        let status = wait(&mut self.child).expect("it does not end");
        let took = started.elapsed();
        let mut stdout = self.greeting.clone();
        if let Some((rest, stderr)) = self.readers.take() {
            stdout.push_str(&rest.join().unwrap());
            stderr.join().unwrap();
        }
        Refused {
            code: status.code(),
            stdout,
            stderr: self.log(),
            took,
        }
    }
}

impl Drop for Kubegate {
    fn drop(&mut self) {
        self.cut();
        let arguments = secrets::watched(self.id());
        if !std::thread::panicking() {
            secrets::assert_none("kubegate's log", &self.log());
            secrets::assert_none("kubegate's children's arguments", &arguments);
        }
    }
}

/// Another program in the same environment.
pub fn command_like(own: &Command, program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    let set = own
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    command
        .args(args)
        .env_clear()
        .envs(set)
        .stdin(Stdio::null());
    command
}

/// Waits for the end of a process, and kills it after [`PATIENCE`].
fn wait(child: &mut Child) -> Option<std::process::ExitStatus> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}
