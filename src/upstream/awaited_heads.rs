//! [`AwaitedHeads`]: the requests of a connection that wait for the heads of their responses.

use std::sync::atomic::{AtomicUsize, Ordering};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct AwaitedHeads(AtomicUsize);

/// A request that waits for the head of its response, until dropped.
pub(super) struct AwaitedHead<'a>(&'a AtomicUsize);

impl AwaitedHeads {
    pub(super) fn begin(&self) -> AwaitedHead<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        AwaitedHead(&self.0)
    }

    /// Returns whether there is any.
    pub(super) fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl Drop for AwaitedHead<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
