//! The `kubegate` command. The library documents the modules.

use std::process::ExitCode;

use kubegate::{activation, cli, console, core_dumps, telemetry};

fn main() -> ExitCode {
    activation::receive();
    let unprotected = core_dumps::forbid();
    if let Some(code) = cli::complete() {
        return code;
    }
    let cli = match cli::Cli::from_command_line() {
        Ok(cli) => cli,
        Err(usage) => {
            console::print_usage(&usage);
            return u8::try_from(usage.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    let cli = match cli.with_settings() {
        Ok(cli) => cli,
        Err(error) => {
            console::print_error(format_args!("{error:#}"));
            return cli::exit_code(&error);
        }
    };
    telemetry::start(cli.verbosity());
    for error in &unprotected {
        tracing::warn!(
            error = error as &dyn std::error::Error,
            "memory is less protected"
        );
    }
    let done = cli::run(cli);
    telemetry::finish();
    match done {
        Ok(code) => code,
        Err(error) => {
            console::print_error(format_args!("{error:#}"));
            cli::exit_code(&error)
        }
    }
}
