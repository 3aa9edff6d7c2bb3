//! [`Error`]: what can be wrong with a kubeconfig or with the flags over it.

use std::{fmt, io, path::PathBuf};

/// Why there is no [`Target`](super::Target). No text here ever holds a value of the file
/// other than names (of entries, plugin API versions, auth providers): it may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be opened or read.
    #[error("cannot read {what} {}", path.display())]
    Read {
        /// What the file is for.
        what: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file, or a lock beside it, cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its text has a form that cannot be edited with care.
    #[error(
        "kubeconfig {} is written in a way that kubegate cannot change without changing more than \
         it means to; {by_hand}",
        path.display()
    )]
    NotEditable {
        /// The file.
        path: PathBuf,
        /// What a human can do.
        by_hand: String,
    },
    /// A file stays locked.
    #[error("{} is held by {holder}", lock.display())]
    Locked {
        /// The lock file.
        lock: PathBuf,
        /// By whom, and what to do.
        holder: &'static str,
    },
    /// The path leads to something other than a file of sensible size.
    #[error("cannot read {what} {}: {problem}", path.display())]
    NotReadable {
        /// What the file is for.
        what: String,
        /// The file.
        path: PathBuf,
        /// What it is instead.
        problem: String,
    },
    /// Not YAML or JSON, or made to exhaust memory.
    #[error("kubeconfig {}{}: {problem}", path.display(), Position(*position))]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line and column, counted from 1, where known.
        position: Option<(u64, u64)>,
        /// What is wrong.
        problem: &'static str,
    },
    /// A field holds what it must not.
    #[error("{place}: {field} {problem}")]
    Field {
        /// File and entry, or "flags".
        place: String,
        /// The field or flag.
        field: String,
        /// What is wrong with it and what to do, without its value.
        problem: String,
    },
    /// Two entries of one kind in one file have the same name.
    #[error("kubeconfig {}: there are two {kind}s named {name:?}; rename or remove one", path.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// `cluster`, `user` or `context`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// There is a kubeconfig, but nothing says which part of it to use.
    #[error("{}", Unchosen { files, existing })]
    NoContext {
        /// The files searched.
        files: Vec<PathBuf>,
        /// The contexts there are.
        existing: Vec<String>,
    },
    /// A name that no entry has.
    #[error("{kind} {name:?}, named by {named_by}, does not exist{}", Searched { files, kind, existing })]
    Missing {
        /// `cluster`, `user` or `context`.
        kind: &'static str,
        /// The missing name.
        name: String,
        /// Who asks for it: a flag, `current-context` or a context.
        named_by: String,
        /// The files searched.
        files: Vec<PathBuf>,
        /// The entries of that kind there are.
        existing: Vec<String>,
    },
    /// A URL for a proxy that cannot be used. Its text is not repeated: it may hold a password.
    #[error("the proxy URL {0}")]
    ProxyUrl(&'static str),
    /// No kubeconfig, no service account and no `--server`.
    #[error(
        "no API server to talk to: {}, {}, and --server is not given",
        Absent(looked_at),
        if *is_pod { NO_POD_TOKEN } else { "this is not a pod with a service account" }
    )]
    NothingFound {
        /// The kubeconfig files looked for.
        looked_at: Vec<PathBuf>,
        /// Whether the environment is that of a pod, which then lacks its token.
        is_pod: bool,
    },
    /// There was a kubeconfig.
    #[error("the kubeconfig of the start is gone: {}", Absent(looked_at))]
    KubeconfigGone {
        /// The kubeconfig files looked for.
        looked_at: Vec<PathBuf>,
    },
    /// There was a service account.
    #[error(
        "the pod's service account has no token any more: {}/token is gone or empty; is \
         automountServiceAccountToken: false set for the pod or its service account?",
        super::in_cluster::FOLDER
    )]
    PodGone,
}

impl Error {
    /// Whether a flag is wrong by itself, whatever the files say.
    #[must_use]
    pub fn is_of_flags(&self) -> bool {
        matches!(self, Self::Field { place, .. } if place == "flags")
    }

    /// An [`Error::Field`].
    pub(super) fn field(
        place: impl Into<String>,
        field: impl Into<String>,
        problem: impl Into<String>,
    ) -> Self {
        Self::Field {
            place: place.into(),
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

/// What is said of a pod without a token.
const NO_POD_TOKEN: &str = "this pod has no service account token in \
     /var/run/secrets/kubernetes.io/serviceaccount (set automountServiceAccountToken: true for the \
     pod or its service account)";

/// That none of the files that were looked for says anything.
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
    /// At most ten names: fleets have thousands.
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
