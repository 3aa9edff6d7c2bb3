//! Runs a program on a terminal.

use std::process::Command;

use super::command_like;

/// Types an answer after each prompt. The prompts come in order.
const SCRIPT: &str = r#"
import os, pty, sys

answers = [(sys.argv[at].encode(), sys.argv[at + 1].encode()) for at in range(2, 2 + 2 * int(sys.argv[1]), 2)]
program = sys.argv[2 + 2 * len(answers):]
child, terminal = pty.fork()
if child == 0:
    os.execv(program[0], program)
shown = b""
try:
    while part := os.read(terminal, 4096):
        shown += part
        sys.stdout.buffer.write(part)
        if answers and shown.endswith(answers[0][0]):
            os.write(terminal, answers.pop(0)[1] + b"\n")
            shown = b""
except OSError:
    pass
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"#;

/// Wraps `command` so that it runs on a terminal on which each prompt gets its answer.
pub fn on_terminal(command: &Command, responses: &[(&str, &str)]) -> Command {
    let count = responses.len().to_string();
    let mut args = vec!["-c", SCRIPT, &count];
    args.extend(
        responses
            .iter()
            .flat_map(|(prompt, response)| [*prompt, *response]),
    );
    args.push(command.get_program().to_str().unwrap());
    args.extend(command.get_args().map(|arg| arg.to_str().unwrap()));
    command_like(command, "python3", &args)
}
