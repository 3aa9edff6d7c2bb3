//! [`LoginCommand`]: the command that begins a login again, for errors.

use std::sync::Arc;

use crate::{kubeconfig::ContextRef, printable::printable};

/// The context that the command names: one that uses the login.
#[derive(Clone, Default)]
pub enum CommandContext {
    /// It is not known.
    #[default]
    Unknown,
    /// It is this one.
    Known(ContextRef),
    /// It is searched for when it is needed.
    Searched(Arc<dyn Fn() -> Option<ContextRef> + Send + Sync>),
}

impl CommandContext {
    /// Returns the context, unless it has to be searched for.
    pub(super) fn known(&self) -> Option<&ContextRef> {
        match self {
            Self::Known(context) => Some(context),
            Self::Unknown | Self::Searched(_) => None,
        }
    }

    fn find(&self) -> Option<ContextRef> {
        match self {
            Self::Unknown => None,
            Self::Known(context) => Some(context.clone()),
            Self::Searched(search) => search(),
        }
    }
}

impl From<Option<ContextRef>> for CommandContext {
    fn from(context: Option<ContextRef>) -> Self {
        context.map_or(Self::Unknown, Self::Known)
    }
}

/// The command that begins a login again.
pub(super) struct LoginCommand {
    /// The kind of login: `openshift`, `ibm` or `oidc`.
    pub(super) kind: &'static str,
    pub(super) context: CommandContext,
    /// The command for a login whose context is not known.
    pub(super) otherwise: Option<String>,
}

impl LoginCommand {
    /// Returns the command. The context keeps what the login needs besides its name, such as
    /// certificate authorities and scopes.
    pub(super) fn text(&self) -> Option<String> {
        let with_context = self
            .context
            .find()
            .map(|context| of_context(self.kind, &context));
        with_context.or_else(|| self.otherwise.clone())
    }
}

/// Returns the command for a context.
pub(super) fn of_context(kind: &str, context: &ContextRef) -> String {
    let command = format!("kubegate login {kind} {}", context.to_flags());
    printable(&command).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_command_names_the_context_if_that_is_known() {
        let context = ContextRef {
            name: "it's".to_owned(),
            kubeconfig: Some("/a b".into()),
        };
        let expected = r"kubegate login oidc --context 'it'\''s' --kubeconfig '/a b'";
        let searched = CommandContext::Searched(Arc::new({
            let context = context.clone();
            move || Some(context.clone())
        }));
        let not_found = CommandContext::Searched(Arc::new(|| None));
        for (context, expected) in [
            (CommandContext::Known(context), expected),
            (searched, expected),
            (not_found, "otherwise"),
            (CommandContext::Unknown, "otherwise"),
        ] {
            let command = LoginCommand {
                kind: "oidc",
                context,
                otherwise: Some("otherwise".to_owned()),
            };
            assert_eq!(command.text().unwrap(), expected);
        }
    }
}
