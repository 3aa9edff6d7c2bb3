//! Two private networks and the cable between them.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use super::kubegate::command_like;

/// The address of the far end.
pub const FAR: &str = "10.77.0.2";

/// A link-layer address that no device has.
const UNUSED_ADDRESS: &str = "02:00:00:00:00:99";

/// Two network namespaces, connected by a pair of virtual Ethernet devices. They are removed with
/// the test.
pub struct Cable {
    near: Child,
    far: Child,
}

/// The ways in which the cable fails.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// Packets are lost in both directions without an error.
    Silent,
    /// The link of the far end goes down.
    Link,
}

impl Cable {
    /// `None` if this machine does not allow network namespaces.
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

    /// Returns `command` in the network of the near end.
    pub fn near(&self, command: &Command) -> Command {
        inside(&self.near, command)
    }

    /// Returns `command` in the network of the far end.
    pub fn far(&self, command: &Command) -> Command {
        inside(&self.far, command)
    }

    /// Cuts the cable.
    pub fn cut(&self, how: Cut) {
        match how {
            Cut::Silent => {
                self.at_near(&format!(
                    "ip neigh replace {FAR} lladdr {UNUSED_ADDRESS} dev near nud permanent"
                ));
                self.at_far(&format!(
                    "ip neigh replace 10.77.0.1 lladdr {UNUSED_ADDRESS} dev far nud permanent"
                ));
            }
            Cut::Link => self.at_far("ip link set far down"),
        }
    }

    /// Undoes [`Self::cut`].
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
            // An error means that it has ended already.
            let _ = holder.kill();
            let _ = holder.wait();
        }
    }
}

/// Starts a process that keeps namespaces alive. `wrapper` is the command that creates them.
fn holder(wrapper: &[&str]) -> Option<Child> {
    let held = Command::new(wrapper[0])
        .args(&wrapper[1..])
        // It ends when its standard input does, at the latest with the test.
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
        eprintln!("this machine allows no network namespaces, so this test is skipped");
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
