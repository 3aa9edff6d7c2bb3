//! The commands, one file each: they parse flags, call the other modules, and print.

mod arguments;
mod completions;
mod config;
mod contexts;
mod credential;
#[cfg(feature = "demo")]
mod demo;
mod docker_credential;
mod exec_info;
mod help;
mod hint;
mod interrupt;
mod kubeconfig;
mod login;
mod logout;
mod open;
mod options;
mod output;
mod parse;
mod plugin_file;
mod proxy;
mod registry;
mod run;
mod settings_file;
mod settings_report;
mod target;
mod token;
mod usage;
mod version;
mod whoami;

pub use arguments::Cli;
pub use run::{complete, run};
pub use usage::exit_code;
