//! [`ContextSource`]: where the contexts of a proxy for several come from.

use std::path::PathBuf;

use super::target_source::TargetSource;
use crate::{error::BoxError, kubeconfig::Target, proxy::ContextSummary};

/// The contexts at one time.
#[derive(Debug)]
pub struct FoundContexts {
    /// The contexts to serve, whose names differ.
    pub contexts: Vec<FoundContext>,
    /// The files that they were read from. The source is asked again when one of them changes; with none,
    /// never.
    pub files: Vec<PathBuf>,
}

/// One context.
#[derive(Debug)]
pub struct FoundContext {
    /// What the list of contexts says of it.
    pub summary: ContextSummary,
    /// What it resolves to, if it can be used.
    pub target: Option<Target>,
}

/// A source of contexts, such as a kubeconfig file, which may be asked many times.
pub trait ContextSource: Send + Sync + 'static {
    /// Reads which contexts there are now. May block on files.
    ///
    /// # Errors
    /// There are no contexts, or they cannot be read. The contexts of before stay in use.
    fn read(&self) -> Result<FoundContexts, BoxError>;

    /// Returns the source of one context's target. Its files need not include those of
    /// [`FoundContexts::files`].
    fn target_source(&self, context: &str) -> Box<dyn TargetSource>;
}
