//! The shell of a simulated container, and its few commands.
//!
//! It supports `;`, `&&`, `||`, quotes, `$VAR`, `$?` and the redirection `>&2`. Other
//! redirections, pipes and subshells are syntax errors that say so.

mod builtins;
mod parse;

use std::collections::BTreeMap;
use std::pin::Pin;

use self::parse::{Command, Join, Piece, Word};
use super::console::Console;
use super::pod::Container;

/// 128 plus the number of SIGINT.
const INTERRUPTED: i32 = 130;
/// The exit code of POSIX shells for a syntax error.
const SYNTAX_ERROR: i32 = 2;

/// Runs one command (not a script), as a container runtime does. Returns its exit code.
pub(super) async fn exec(container: &Container, command: &[String], mut console: Console) -> i32 {
    let mut shell = Shell::new(container, console.is_tty());
    match shell.run(command, &mut console).await {
        Flow::Next(code) | Flow::Exit(code) => code,
        Flow::Interrupted => INTERRUPTED,
    }
}

/// What happens after a command.
#[derive(Debug, PartialEq, Eq)]
enum Flow {
    /// The next command runs. This one ended with the code.
    Next(i32),
    /// The shell ends.
    Exit(i32),
    /// ^C: the rest of the line does not run.
    Interrupted,
}

/// The state of a shell.
#[derive(Clone, Debug)]
struct Shell<'a> {
    container: &'a Container,
    variables: BTreeMap<String, String>,
    directory: String,
    last_code: i32,
}

impl<'a> Shell<'a> {
    fn new(container: &'a Container, tty: bool) -> Self {
        let mut variables = container.environment.clone();
        if tty {
            variables.insert("TERM".to_owned(), "xterm".to_owned());
        }
        Self {
            container,
            variables,
            directory: "/".to_owned(),
            last_code: 0,
        }
    }

    /// Runs one command. The future is boxed because `sh` can run `sh`.
    fn run<'f>(
        &'f mut self,
        words: &'f [String],
        console: &'f mut Console,
    ) -> Pin<Box<dyn Future<Output = Flow> + Send + 'f>> {
        Box::pin(async move {
            let Some((name, arguments)) = words.split_first() else {
                return Flow::Next(0);
            };
            match program_name(name) {
                "sh" | "bash" | "ash" => self.clone().sh(arguments, console).await,
                "exit" => Flow::Exit(self.exit_code(arguments)),
                "cd" => Flow::Next(self.change_directory(arguments, console).await),
                name => {
                    let interrupted = console.interrupted();
                    let run = builtins::run(self, name, arguments, console);
                    tokio::select! {
                        code = run => return Flow::Next(code),
                        () = interrupted => {}
                    }
                    console.handle_interrupts();
                    Flow::Interrupted
                }
            }
        })
    }

    /// Runs `sh`: the script after `-c`, or the lines of the standard input.
    async fn sh(mut self, arguments: &[String], console: &mut Console) -> Flow {
        let is_option = |argument: &&String| argument.starts_with('-');
        let options = arguments.iter().take_while(is_option);
        let takes_script = |option: &String| !option.starts_with("--") && option.contains('c');
        let options_end = options.clone().count();
        if options.clone().any(takes_script) {
            let Some(script) = arguments.get(options_end) else {
                console.print_error("sh: -c requires an argument\n").await;
                return Flow::Next(SYNTAX_ERROR);
            };
            return match self.script(script, console).await {
                Flow::Exit(code) => Flow::Next(code),
                flow => flow,
            };
        }
        if let Some(file) = arguments.get(options_end) {
            let text = format!("sh: cannot open {file}: the demo runs no script files\n");
            console.print_error(text).await;
            return Flow::Next(SYNTAX_ERROR);
        }
        self.lines(console).await
    }

    async fn lines(&mut self, console: &mut Console) -> Flow {
        loop {
            if console.is_tty() {
                console.print("$ ").await;
            }
            let interrupted = console.interrupted();
            let line = tokio::select! {
                line = console.read_line() => line,
                () = interrupted => {
                    console.handle_interrupts();
                    self.last_code = INTERRUPTED;
                    continue;
                }
            };
            let Some(line) = line else {
                return Flow::Next(self.last_code);
            };
            match self.script(&String::from_utf8_lossy(&line), console).await {
                Flow::Next(_) => {}
                Flow::Exit(code) => return Flow::Next(code),
                Flow::Interrupted if console.is_tty() => self.last_code = INTERRUPTED,
                Flow::Interrupted => return Flow::Interrupted,
            }
        }
    }

    /// Runs the commands of a script until one of them ends the shell.
    async fn script(&mut self, text: &str, console: &mut Console) -> Flow {
        let commands = match parse::parse(text) {
            Ok(commands) => commands,
            Err(error) => {
                console
                    .print_error(format!("sh: syntax error: {error}\n"))
                    .await;
                self.last_code = SYNTAX_ERROR;
                return Flow::Next(SYNTAX_ERROR);
            }
        };
        for (join, command) in commands {
            let is_due = match join {
                Join::Always => true,
                Join::IfSuccess => self.last_code == 0,
                Join::IfFailure => self.last_code != 0,
            };
            if !is_due {
                continue;
            }
            match self.command(&command, console).await {
                Flow::Next(code) => self.last_code = code,
                flow => return flow,
            }
        }
        Flow::Next(self.last_code)
    }

    async fn command(&mut self, command: &Command, console: &mut Console) -> Flow {
        let mut words: Vec<String> = Vec::new();
        for word in &command.words {
            let text = self.expand(word);
            if text.is_empty() && !word.quoted {
                continue;
            }
            match text.split_once('=') {
                Some((name, value)) if words.is_empty() && parse::is_name(name) => {
                    self.variables.insert(name.to_owned(), value.to_owned());
                }
                _ => words.push(text),
            }
        }
        let outer = std::mem::replace(&mut console.to_stderr, command.to_stderr);
        console.to_stderr |= outer;
        let flow = self.run(&words, console).await;
        console.to_stderr = outer;
        flow
    }

    fn expand(&self, word: &Word) -> String {
        let pieces = word.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::LastCode => self.last_code.to_string(),
            Piece::Variable(name) => self.variables.get(name).cloned().unwrap_or_default(),
        });
        pieces.collect()
    }

    /// The exit code of `exit`. Only its low eight bits reach the parent process.
    fn exit_code(&self, arguments: &[String]) -> i32 {
        let Some(code) = arguments.first() else {
            return self.last_code;
        };
        code.parse::<i32>().map_or(SYNTAX_ERROR, |code| code & 0xff)
    }

    async fn change_directory(&mut self, arguments: &[String], console: &mut Console) -> i32 {
        let directory = arguments.first().map_or("/", String::as_str);
        let path = self.resolve(directory);
        if self.entries(&path).is_empty() {
            let text = format!("sh: cd: can't cd to {directory}: No such file or directory\n");
            console.print_error(text).await;
            return 1;
        }
        self.directory = path;
        0
    }

    /// The absolute path of `path`, without `.` and `..`.
    fn resolve(&self, path: &str) -> String {
        let base = if path.starts_with('/') {
            ""
        } else {
            &self.directory
        };
        let mut parts: Vec<&str> = Vec::new();
        for part in base.split('/').chain(path.split('/')) {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        format!("/{}", parts.join("/"))
    }

    /// The names of the files and directories in a directory; empty if it does not exist.
    fn entries(&self, directory: &str) -> Vec<&'a str> {
        let prefix = format!("{}/", directory.trim_end_matches('/'));
        let paths = self.container.files.keys();
        let mut names: Vec<_> = paths
            .filter_map(|path| path.strip_prefix(&prefix)?.split('/').next())
            .collect();
        names.dedup();
        names
    }
}

/// The name of a program without the directory of programs.
fn program_name(name: &str) -> &str {
    let directories = ["/bin/", "/usr/bin/", "/usr/local/bin/"];
    let stripped = directories
        .iter()
        .find_map(|directory| name.strip_prefix(directory));
    stripped.unwrap_or(name)
}

#[cfg(test)]
mod tests;
