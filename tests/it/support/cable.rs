//! Two networks that no other process has, and the cable between them.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use super::kubegate::command_like;

/// The far end's address.
pub const FAR: &str = "10.77.0.2";

/// A link-layer address that nobody has.
const NOBODY: &str = "02:00:00:00:00:99";

/// Two network namespaces with a pair of virtual Ethernet devices. They end with the test.
pub struct Cable {
    near: Child,
    far: Child,
}

/// What becomes of the cable.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// Packets get lost both ways, and nobody says so.
    Silent,
    /// The far end's link goes down.
    Link,
}

impl Cable {
    /// `None` where this machine lets nobody have a network of their own.
    pub fn new() -> Option<Self> {
        let near = holder(&["unshare", "-rn"])?;
        let id = near.id().to_string();
        let enter = ["nsenter", "-t", &id, "-U", "-n", "--preserve-credentials"];
        let far = holder(&[&enter[..], &["unshare", "-n"]].concat())?;
        let cable = Self { near, far };
        let far = cable.far.id();
        cable.at_near(&format!(
            "ip link set lo up && ip link add near type veth peer name far netns {far} && \
             ip addr add 10.77.0.1/30 dev near && ip link set near up"
        ));
        cable.at_far(&format!(
            "ip link set lo up && ip addr add {FAR}/30 dev far && ip link set far up"
        ));
        Some(cable)
    }

    /// `command` at the near end.
    pub fn near(&self, command: &Command) -> Command {
        inside(&self.near, command)
    }

    /// `command` at the far end.
    pub fn far(&self, command: &Command) -> Command {
        inside(&self.far, command)
    }

    /// No packet arrives any more.
    pub fn cut(&self, how: Cut) {
        match how {
            Cut::Silent => {
                self.at_near(&format!(
                    "ip neigh replace {FAR} lladdr {NOBODY} dev near nud permanent"
                ));
                self.at_far(&format!(
                    "ip neigh replace 10.77.0.1 lladdr {NOBODY} dev far nud permanent"
                ));
            }
            Cut::Link => self.at_far("ip link set far down"),
        }
    }

    /// All is as it was before [`Self::cut`].
    pub fn mend(&self, how: Cut) {
        match how {
            Cut::Silent => {
                self.at_near(&format!("ip neigh del {FAR} dev near"));
                self.at_far("ip neigh del 10.77.0.1 dev far");
            }
            Cut::Link => self.at_far("ip link set far up"),
        }
    }

    fn at_near(&self, script: &str) {
        run(self.near(Command::new("sh").args(["-c", script])));
    }

    fn at_far(&self, script: &str) {
        run(self.far(Command::new("sh").args(["-c", script])));
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for holder in [&mut self.far, &mut self.near] {
            // Gone before, if it likes.
            let _ = holder.kill();
            let _ = holder.wait();
        }
    }
}

/// A process that does nothing in the namespaces that `around` makes for it.
fn holder(around: &[&str]) -> Option<Child> {
    let held = Command::new(around[0])
        .args(&around[1..])
        // Ends with the test, whatever becomes of that.
        .args(["sh", "-c", "echo held && exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut line = String::new();
    let held = held.ok().and_then(|mut child| {
        let stdout = child.stdout.as_mut()?;
        BufReader::new(stdout).read_line(&mut line).ok()?;
        Some(child)
    });
    if line != "held\n" {
        eprintln!("no network namespace here, so no network can fail");
        return None;
    }
    held
}

fn inside(holder: &Child, command: &Command) -> Command {
    let id = holder.id().to_string();
    let mut args = vec!["-t", &id, "-U", "-n", "--preserve-credentials"];
    args.push(command.get_program().to_str().unwrap());
    args.extend(command.get_args().map(|arg| arg.to_str().unwrap()));
    let mut command = command_like(command, "nsenter", &args);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

fn run(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
