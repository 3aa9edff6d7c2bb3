//! [`Error`]: everything that can be wrong with a kubeconfig, or with the flags that override it.

use std::{fmt, io, path::PathBuf};

use crate::shell::in_quotes;

/// Why there is no [`Target`](super::Target). No message shows values of the file, which may be
/// secret, other than names (of entries, plugin API versions, auth providers).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that cannot be opened or read.
    #[error("cannot read {what} {}", path.display())]
    Read {
        /// What the file is for.
        what: String,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file, or its lock file, that cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file that cannot be written, as is known before anything is done.
    #[error(
        "kubeconfig {} cannot be written, so nothing was done; make it writable, or name another by \
         --kubeconfig or KUBECONFIG",
        path.display()
    )]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file whose text cannot be edited without changing other parts of it.
    #[error(
        "kubeconfig {} is written in a form that kubegate cannot edit without changing other parts \
         of it; {by_hand}",
        path.display()
    )]
    NotEditable {
        /// The file.
        path: PathBuf,
        /// What to do by hand.
        by_hand: String,
    },
    /// An entry that another context uses, and that a login would change.
    #[error(
        "{kind} {name:?} of kubeconfig {} is used by context {context:?} and means something else \
         there; choose another name by --{kind}, or leave --{kind} out",
        path.display()
    )]
    InUse {
        /// The file that has the entry.
        path: PathBuf,
        /// `cluster` or `user`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// A context that uses it.
        context: String,
    },
    /// A user's entry with a credential that a login would replace.
    #[error(
        "user {name:?} of kubeconfig {} has a login of its own ({field}), which would be lost; choose \
         another name by --user, or remove the entry first: kubectl config delete-user {}",
        path.display(),
        in_quotes(name)
    )]
    OtherLogin {
        /// The file that has the entry.
        path: PathBuf,
        /// Its name.
        name: String,
        /// The field that holds its login.
        field: &'static str,
    },
    /// A symbolic link to a file that does not exist.
    #[error(
        "kubeconfig {} is a symbolic link to {}, which does not exist; create that file, or remove \
         the link",
        path.display(),
        target.display()
    )]
    DanglingLink {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A file that another process keeps locked.
    #[error("{} is held by {holder}", lock.display())]
    Locked {
        /// The lock file.
        lock: PathBuf,
        /// The process that holds it, and what to do.
        holder: &'static str,
    },
    /// A file that another process kept locked until a signal came.
    #[error("interrupted while another program held {}", lock.display())]
    Interrupted {
        /// The lock file.
        lock: PathBuf,
    },
    /// A path that leads to something other than a file within the limit of size.
    #[error("cannot read {what} {}: {problem}", path.display())]
    NotReadable {
        /// What the file is for.
        what: String,
        /// The file.
        path: PathBuf,
        /// What it is instead.
        problem: String,
    },
    /// Text that is neither YAML nor JSON, or would exhaust memory.
    #[error("kubeconfig {}{}: {problem}", path.display(), Position(*position))]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line and column, counted from 1, where known.
        position: Option<(u64, u64)>,
        /// What is wrong.
        problem: &'static str,
    },
    /// A field with an invalid value.
    #[error("{location}: {field} {problem}")]
    Field {
        /// File and entry, or `flags`.
        location: String,
        /// The field or flag.
        field: String,
        /// What is wrong and what to do, without the value.
        problem: String,
    },
    /// Two entries of one kind with the same name in one file.
    #[error("kubeconfig {}: there are two {kind}s named {name:?}; rename or remove one", path.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// `cluster`, `user` or `context`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A kubeconfig without a selected context.
    #[error("{}", Unchosen { files, existing })]
    NoContext {
        /// The files searched.
        files: Vec<PathBuf>,
        /// The contexts that exist.
        existing: Vec<String>,
    },
    /// A name without an entry.
    #[error("{kind} {name:?}, named by {named_by}, does not exist{}", Searched { files, kind, existing })]
    Missing {
        /// `cluster`, `user` or `context`.
        kind: &'static str,
        /// The missing name.
        name: String,
        /// What names it: a flag, `current-context` or a context.
        named_by: String,
        /// The files searched.
        files: Vec<PathBuf>,
        /// The entries of that kind that exist.
        existing: Vec<String>,
    },
    /// An invalid URL of a proxy. The message does not repeat it, since it may contain a password.
    #[error("the proxy URL {0}")]
    ProxyUrl(&'static str),
    /// No kubeconfig, no service account and no `--server`.
    #[error(
        "no API server to talk to: {}, {}, and --server is not given",
        Absent(searched),
        if *is_pod { NO_POD_TOKEN } else { "this is not a pod with a service account" }
    )]
    NothingFound {
        /// The candidate files.
        searched: Vec<PathBuf>,
        /// Whether the environment is that of a pod, which then has no token.
        is_pod: bool,
    },
    /// The kubeconfig that was used at the start no longer exists.
    #[error(
        "the kubeconfig that was used at the start is gone: {}",
        Absent(searched)
    )]
    KubeconfigGone {
        /// The candidate files.
        searched: Vec<PathBuf>,
    },
    /// The service account that was used at the start no longer has a token.
    #[error(
        "the pod's service account has no token any more: \
         /var/run/secrets/kubernetes.io/serviceaccount/token is gone or empty; is \
         automountServiceAccountToken: false set for the pod or its service account?"
    )]
    PodGone,
}

impl Error {
    /// Whether a flag is wrong by itself, whatever the files say.
    #[must_use]
    pub fn is_of_flags(&self) -> bool {
        matches!(self, Self::Field { location, .. } if location == "flags")
    }

    /// An [`Error::Field`].
    pub(super) fn field(
        location: impl Into<String>,
        field: impl Into<String>,
        problem: impl Into<String>,
    ) -> Self {
        Self::Field {
            location: location.into(),
            field: field.into(),
            problem: problem.into(),
        }
    }
}

struct Position(Option<(u64, u64)>);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((line, column)) => write!(f, ", line {line}, column {column}"),
            None => Ok(()),
        }
    }
}

struct Unchosen<'a> {
    files: &'a [PathBuf],
    existing: &'a [String],
}

impl fmt::Display for Unchosen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (files, names) = (Files(self.files), self.existing);
        if names.is_empty() {
            return write!(
                f,
                "there are no contexts in {files}; name another file with --kubeconfig or \
                 KUBECONFIG, or give --server"
            );
        }
        let kind = "context";
        write!(
            f,
            "no context is chosen: {files} sets no current-context; choose one with --context; {}",
            Existing { kind, names }
        )
    }
}

struct Searched<'a> {
    files: &'a [PathBuf],
    kind: &'a str,
    existing: &'a [String],
}

impl fmt::Display for Searched<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.files.is_empty() {
            return f
                .write_str(": there is no kubeconfig; name one with --kubeconfig or KUBECONFIG");
        }
        let (kind, names) = (self.kind, self.existing);
        write!(f, " in {}; {}", Files(self.files), Existing { kind, names })
    }
}

struct Files<'a>(&'a [PathBuf]);

impl fmt::Display for Files<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no kubeconfig file");
        }
        for (at, path) in self.0.iter().enumerate() {
            write!(f, "{}{}", if at == 0 { "" } else { ", " }, path.display())?;
        }
        Ok(())
    }
}

/// The message about a pod without a token.
const NO_POD_TOKEN: &str = "this pod has no service account token in \
     /var/run/secrets/kubernetes.io/serviceaccount (set automountServiceAccountToken: true for the \
     pod or its service account)";

/// The message that none of the candidate files exists with content.
struct Absent<'a>(&'a [PathBuf]);

impl fmt::Display for Absent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str(
                "there is no kubeconfig (neither KUBECONFIG nor HOME says where it would be)",
            ),
            [file] => write!(f, "the kubeconfig {} is absent or empty", file.display()),
            files => write!(f, "the kubeconfigs {} are absent or empty", Files(files)),
        }
    }
}

struct Existing<'a> {
    kind: &'a str,
    names: &'a [String],
}

impl fmt::Display for Existing<'_> {
    /// Shows at most ten names: a kubeconfig may have thousands.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        if self.names.is_empty() {
            return write!(f, "there are no {}s", self.kind);
        }
        write!(f, "there are the {}s ", self.kind)?;
        for (at, name) in self.names.iter().take(SHOWN).enumerate() {
            write!(f, "{}{name:?}", if at == 0 { "" } else { ", " })?;
        }
        match self.names.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
