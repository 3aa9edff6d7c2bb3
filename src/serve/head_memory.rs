//! What the heads that have not come whole may hold in memory, all together.
//!
//! A head may have 64 KiB and take ten seconds to come, so thousands of slow ones would hold
//! hundreds of megabytes. The first bytes of each are free, as many as an ordinary request has;
//! what goes beyond them comes out of a budget of the whole process. Who finds it used up is
//! refused, so large heads can keep large heads out, but never small ones.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of each head that cost nothing.
pub(super) const FREE: usize = 8 * 1024;

/// Bytes that all heads beyond that may hold together.
const ALL: usize = 16 * 1024 * 1024;

/// What is reserved at a time.
const STEP: usize = 16 * 1024;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// What one head holds of the budget.
#[derive(Debug, Default)]
pub(super) struct Share(AtomicUsize);

impl Share {
    /// Makes room for a head of which `length` bytes have come. Whether there is any.
    pub(super) fn grow(&self, length: usize) -> bool {
        if length <= FREE {
            return true;
        }
        // The buffer doubles where it grows.
        let wanted = (2 * length).next_multiple_of(STEP);
        let held = self.0.load(Ordering::Relaxed);
        if wanted <= held {
            return true;
        }
        let more = wanted - held;
        if HELD.fetch_add(more, Ordering::Relaxed) + more > ALL {
            HELD.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.0.store(wanted, Ordering::Relaxed);
        true
    }

    /// Gives back what is held.
    pub(super) fn release(&self) {
        let held = self.0.load(Ordering::Relaxed);
        if held > 0 {
            self.0.store(0, Ordering::Relaxed);
            HELD.fetch_sub(held, Ordering::Relaxed);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_heads_share_a_budget_and_small_ones_need_none() {
        let large: Vec<Share> = (0..)
            .map_while(|_| {
                let share = Share::default();
                share.grow(64 * 1024).then_some(share)
            })
            .collect();
        assert!((100..=128).contains(&large.len()), "{}", large.len());
        let share = Share::default();
        assert!(share.grow(FREE));
        assert!(!share.grow(FREE + 1));
        large[0].release();
        assert!(share.grow(FREE + 1) && share.grow(32 * 1024));
        assert!(!share.grow(65 * 1024), "what is held already counts");
        drop(large);
        assert!(share.grow(64 * 1024));
        share.release();
        share.release();
    }
}
