//! The contexts of a proxy with one target.

use crate::{
    cli::contexts::verified_by,
    kubeconfig::Target,
    proxy::{ContextEntry, ContextSummary, ContextTable, Contexts, ReloadHandle, Root},
};

/// Returns what the list of contexts says of a usable target; `None` for one without a context.
pub(super) fn summary(target: &Target) -> Option<ContextSummary> {
    Some(ContextSummary {
        name: target.context.clone()?,
        server: Some(target.cluster.url()),
        verified_by: Some(verified_by(&target.cluster)),
        error: None,
    })
}

/// Returns the only context, that of `target` if it is known yet.
pub(super) fn contexts(target: Option<&Target>, handle: &ReloadHandle) -> Contexts {
    let summary = target.and_then(summary);
    Contexts::only(summary.map(|summary| ContextEntry::new(summary, handle.clone())))
}

/// Returns the function that keeps `contexts` as the target is now.
pub(super) fn observer(contexts: Contexts, handle: ReloadHandle) -> impl Fn(&Target) + Send {
    move |target| {
        let entries = summary(target).map(|summary| ContextEntry::new(summary, handle.clone()));
        let entries = entries.into_iter().map(Into::into).collect();
        contexts.replace(ContextTable::new(entries, Root::Only));
    }
}
