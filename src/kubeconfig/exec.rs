//! Reads the `exec` section of a user as an [`ExecConfig`].

use std::path::PathBuf;

use crate::{
    kubeconfig::{Error, ExecConfig, InteractiveMode, fields::Fields},
    printable::printable,
    secret::Secret,
};

/// A version of the `exec` section and of what its plugin prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExecApiVersion {
    /// `client.authentication.k8s.io/v1`
    #[default]
    V1,
    /// `client.authentication.k8s.io/v1beta1`, for clients that do not know `v1`.
    V1beta1,
}

impl ExecApiVersion {
    /// Group and version, as in `apiVersion`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => V1,
            Self::V1beta1 => V1BETA1,
        }
    }

    /// The version alone.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1beta1 => "v1beta1",
        }
    }
}

const GROUP: &str = "client.authentication.k8s.io/";
const V1: &str = "client.authentication.k8s.io/v1";
const V1BETA1: &str = "client.authentication.k8s.io/v1beta1";

/// Reads the section by the rules of client-go's `validateAuthInfo`.
pub(super) fn config(fields: &Fields<'_>) -> Result<ExecConfig, Error> {
    let api_version = api_version(fields)?;
    let command = fields.text("command")?;
    let command = command.ok_or_else(|| fields.error("command", "is missing"))?;
    Ok(ExecConfig {
        interactive_mode: interactive_mode(fields, &api_version)?,
        api_version,
        // Only a name without a slash is looked up in PATH.
        command: if command.contains('/') {
            fields.resolve(command)
        } else {
            PathBuf::from(command)
        },
        args: fields.texts("args")?,
        env: env(fields)?,
        provide_cluster_info: fields.flag("provideClusterInfo")?,
        install_hint: fields
            .text("installHint")?
            .map(|hint| printable(hint).into_owned()),
    })
}

pub(super) fn api_version(fields: &Fields<'_>) -> Result<String, Error> {
    let problem = match fields.text("apiVersion")? {
        Some(version @ (V1 | V1BETA1)) => return Ok(version.to_owned()),
        Some(version) if version.starts_with(GROUP) => {
            format!("is {version:?}; update the plugin's entry to {V1} or {V1BETA1}")
        }
        Some(_) => format!("must be {V1} or {V1BETA1}"),
        None => format!("is missing; set it to {V1}"),
    };
    Err(fields.error("apiVersion", problem))
}

fn interactive_mode(fields: &Fields<'_>, api_version: &str) -> Result<InteractiveMode, Error> {
    match fields.text("interactiveMode")? {
        Some("Never") => Ok(InteractiveMode::Never),
        Some("IfAvailable") => Ok(InteractiveMode::IfAvailable),
        Some("Always") => Ok(InteractiveMode::Always),
        None if api_version == V1BETA1 => Ok(InteractiveMode::default()),
        None => {
            let problem = format!("is missing; {V1} needs Never, IfAvailable or Always");
            Err(fields.error("interactiveMode", problem))
        }
        Some(_) => Err(fields.error("interactiveMode", "must be Never, IfAvailable or Always")),
    }
}

fn env(fields: &Fields<'_>) -> Result<Vec<(String, Secret)>, Error> {
    let variables = fields.each("env")?;
    let variable = |variable: &Fields<'_>| {
        let name = variable.owned("name")?;
        let name = name.ok_or_else(|| variable.error("name", "is missing"))?;
        if name.contains(['=', '\0']) {
            return Err(variable.error("name", "must not contain '=' or NUL"));
        }
        let value = variable.secret("value")?;
        Ok((name, value.unwrap_or_else(|| Secret::new(""))))
    };
    variables.iter().map(variable).collect()
}
