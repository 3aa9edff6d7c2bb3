//! A [`Served`] in its own process, which can be stopped by signals or run in its own network. The
//! program is this test binary.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::{Connection, Kubegate, Served, ServerOptions, status};

/// The variable with the host to listen on.
const CHILD: &str = "KUBEGATE_TEST_SERVE_ON";

/// The variable that limits the server to HTTP/1.1.
const HTTP1: &str = "KUBEGATE_TEST_SERVE_HTTP1";

/// The text before the port in the output of the process.
const PORT: &str = "the server's port: ";

/// The process of a server. It ends with the test.
pub struct ServerProcess {
    child: Child,
    /// The port that it listens on.
    pub port: u16,
}

impl ServerProcess {
    /// The command that runs a server on `host`, with HTTP/2 unless `http1` is set.
    pub fn command(host: &str, http1: bool) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "--nocapture", "--test-threads=1"])
            .arg("support::process::a_server_in_its_own_process_responds")
            .env(CHILD, host);
        if http1 {
            command.env(HTTP1, "1");
        }
        command
    }

    /// Runs `command`, which is [`Self::command`] or a wrapper of it.
    pub fn spawn(mut command: Command) -> Self {
        // The child ends when its standard input does.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let port = lines.find_map(|line| line.split_once(PORT)?.1.parse().ok());
        let port = port.expect("the server's process did not start");
        std::thread::spawn(move || lines.count());
        Self { child, port }
    }

    /// Stops the process. None of its threads runs when this returns.
    pub fn freeze(&self) {
        kill_process(self.id(), Signal::STOP).unwrap();
        let stopped = waitpid(Some(self.id()), WaitOptions::UNTRACED).unwrap();
        assert!(stopped.is_some_and(|(_, status)| status.stopped()));
    }

    /// Continues the process.
    pub fn thaw(&self) {
        kill_process(self.id(), Signal::CONT).unwrap();
    }

    fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_server_in_its_own_process_responds() {
    if let Some(host) = std::env::var_os(CHILD) {
        let http1 = std::env::var_os(HTTP1).is_some();
        let options = ServerOptions {
            http1,
            ..ServerOptions::default()
        };
        let served = Served::start(host.to_str().unwrap(), options).await;
        println!("\n{PORT}{}", served.port());
        let parent = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        let _ = parent.await;
        return;
    }
    let server = ServerProcess::spawn(ServerProcess::command("127.0.0.1", false));
    let url = format!("https://localhost:{}", server.port);
    let kubegate = Kubegate::before_url(&url, &[]);
    let mut client = Connection::open(&kubegate.address).await;
    client
        .write("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    let head = super::in_time(client.head()).await.unwrap();
    assert_eq!(status(&head), 200, "{head}");
}
