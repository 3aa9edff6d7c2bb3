//! The commands of a simulated container.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;

use super::Shell;
use crate::demo::kubernetes::handlers::pod_streams::console::Console;

const NOT_FOUND: i32 = 127;

/// Runs a command to its end. Returns its exit code.
pub(super) async fn run(
    shell: &Shell<'_>,
    name: &str,
    arguments: &[String],
    console: &mut Console,
) -> i32 {
    match name {
        "true" | ":" => 0,
        "false" => 1,
        "echo" => echo(arguments, console).await,
        "cat" => cat(shell, arguments, console).await,
        "ls" => ls(shell, arguments, console).await,
        "sleep" => sleep(arguments, console).await,
        "stty" => stty(arguments, console).await,
        "env" | "printenv" => print(environment(shell), console).await,
        "pwd" => print(format!("{}\n", shell.directory), console).await,
        "whoami" => print("root\n".to_owned(), console).await,
        "id" => {
            print(
                "uid=0(root) gid=0(root) groups=0(root)\n".to_owned(),
                console,
            )
            .await
        }
        "hostname" => print(format!("{}\n", shell.container.pod), console).await,
        "date" => {
            let now = Timestamp::now().strftime("%a %b %e %H:%M:%S UTC %Y\n");
            print(now.to_string(), console).await
        }
        _ => fail(format!("sh: {name}: not found\n"), NOT_FOUND, console).await,
    }
}

async fn print(text: String, console: &mut Console) -> i32 {
    console.print(text).await;
    0
}

async fn fail(text: String, code: i32, console: &mut Console) -> i32 {
    console.print_error(text).await;
    code
}

async fn echo(arguments: &[String], console: &mut Console) -> i32 {
    let text = match arguments.split_first() {
        Some((first, rest)) if first == "-n" => rest.join(" "),
        _ => arguments.join(" ") + "\n",
    };
    print(text, console).await
}

fn environment(shell: &Shell<'_>) -> String {
    let mut text = String::new();
    for (name, value) in &shell.variables {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}={value}");
    }
    text
}

/// Prints files. Without a file, and for `-`, it copies the standard input.
async fn cat(shell: &Shell<'_>, files: &[String], console: &mut Console) -> i32 {
    let input = ["-".to_owned()];
    let files = if files.is_empty() { &input } else { files };
    let mut code = 0;
    for file in files {
        if file == "-" {
            while let Some(bytes) = console.read().await {
                console.print(bytes).await;
            }
        } else if let Some(text) = shell.container.files.get(&shell.resolve(file)) {
            console.print(text.clone()).await;
        } else {
            let text = format!("cat: can't open '{file}': No such file or directory\n");
            code = fail(text, 1, console).await;
        }
    }
    code
}

/// Lists one name on each line. Options are ignored.
async fn ls(shell: &Shell<'_>, arguments: &[String], console: &mut Console) -> i32 {
    let argument = arguments.iter().find(|argument| !argument.starts_with('-'));
    let argument = argument.map_or(".", String::as_str);
    let path = shell.resolve(argument);
    let entries = shell.entries(&path);
    if !entries.is_empty() {
        return print(entries.join("\n") + "\n", console).await;
    }
    if shell.container.files.contains_key(&path) {
        return print(format!("{argument}\n"), console).await;
    }
    let text = format!("ls: {argument}: No such file or directory\n");
    fail(text, 1, console).await
}

async fn sleep(arguments: &[String], console: &mut Console) -> i32 {
    let text = arguments.first().map_or("", String::as_str);
    let seconds = text.trim_end_matches('s').parse::<f64>().ok();
    let Some(time) = seconds.and_then(|time| Duration::try_from_secs_f64(time).ok()) else {
        let text = format!("sleep: invalid number '{text}'\n");
        return fail(text, 1, console).await;
    };
    tokio::time::sleep(time).await;
    0
}

async fn stty(arguments: &[String], console: &mut Console) -> i32 {
    if !console.is_tty() {
        let text = "stty: standard input: Not a tty\n".to_owned();
        return fail(text, 1, console).await;
    }
    if arguments != ["size"] {
        let text = "stty: the demo supports only \"stty size\"\n".to_owned();
        return fail(text, 1, console).await;
    }
    let size = console.size();
    print(format!("{} {}\n", size.height, size.width), console).await
}
