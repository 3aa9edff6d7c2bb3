//! A limit on the memory that incomplete heads hold together.
//!
//! A head may have 64 KiB and take ten seconds to arrive, so thousands of slow ones could hold
//! hundreds of megabytes. The first [`FREE_PER_HEAD`] bytes, as many as an ordinary request has, are
//! not counted. Larger heads share a budget of the whole process and are refused when it is used
//! up: large heads can keep out other large heads, but never small ones.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of each head that need no reservation.
pub(super) const FREE_PER_HEAD: usize = 8 * 1024;

/// Bytes that all larger heads may hold together.
const BUDGET: usize = 16 * 1024 * 1024;

/// Reservations are multiples of this.
const STEP: usize = 16 * 1024;

static RESERVED: AtomicUsize = AtomicUsize::new(0);

/// The part of the budget that one head holds. Dropping it gives the bytes back.
#[derive(Debug, Default)]
pub(super) struct Reservation(AtomicUsize);

impl Reservation {
    /// Reserves memory for a head of which `length` bytes were received. Returns whether the budget
    /// suffices.
    pub(super) fn grow(&self, length: usize) -> bool {
        if length <= FREE_PER_HEAD {
            return true;
        }
        // hyper's buffer doubles when it grows.
        let wanted = (2 * length).next_multiple_of(STEP);
        let held = self.0.load(Ordering::Relaxed);
        if wanted <= held {
            return true;
        }
        let more = wanted - held;
        if RESERVED.fetch_add(more, Ordering::Relaxed) + more > BUDGET {
            RESERVED.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.0.store(wanted, Ordering::Relaxed);
        true
    }

    /// Gives the bytes back.
    pub(super) fn release(&self) {
        let held = self.0.load(Ordering::Relaxed);
        if held > 0 {
            self.0.store(0, Ordering::Relaxed);
            RESERVED.fetch_sub(held, Ordering::Relaxed);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_heads_share_a_budget_and_small_ones_need_none() {
        let large: Vec<Reservation> = (0..)
            .map_while(|_| {
                let reservation = Reservation::default();
                reservation.grow(64 * 1024).then_some(reservation)
            })
            .collect();
        assert!((100..=128).contains(&large.len()), "{}", large.len());
        let other = Reservation::default();
        assert!(other.grow(FREE_PER_HEAD));
        assert!(!other.grow(FREE_PER_HEAD + 1));
        large[0].release();
        assert!(other.grow(FREE_PER_HEAD + 1) && other.grow(32 * 1024));
        assert!(!other.grow(65 * 1024), "what is held already counts");
        drop(large);
        assert!(other.grow(64 * 1024));
        other.release();
        other.release();
    }
}
