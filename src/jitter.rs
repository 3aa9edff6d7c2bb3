//! Randomness that spreads in time what many processes would otherwise do at once.

/// Returns a random number from 0 to 1, or 0 if the system has no randomness.
#[must_use]
pub fn fraction() -> f64 {
    let mut bytes = [0; 4];
    // A pause without jitter is still a correct pause.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX)
}
