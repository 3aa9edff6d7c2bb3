//! `kubegate`: see the library for the map.

use std::process::ExitCode;

use kubegate::{cli, telemetry};

fn main() -> ExitCode {
    let cli = cli::Cli::from_command_line();
    telemetry::start(cli.verbosity());
    match cli::run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("kubegate: {error:#}");
            cli::exit_code(&error)
        }
    }
}
