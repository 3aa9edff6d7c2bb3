//! The pause after a failure.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);

/// One second, doubling with every failure in a row up to `longest`; of that a random part
/// between a half and the whole, so that many of us do not ask an issuer in step.
pub(super) fn pause(failures: u32, longest: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = (FIRST * 2_u32.pow(doublings)).min(longest);
    whole.mul_f64(0.5 + 0.5 * random_fraction())
}

fn random_fraction() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness the pause is half as long as it could be, and as good.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_a_second_to_the_longest() {
        let longest = Duration::from_secs(60);
        for (failures, whole) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (u32::MAX, 60)] {
            for _ in 0..100 {
                let pause = pause(failures, longest).as_secs_f64();
                let whole = f64::from(whole);
                assert!(
                    (whole / 2.0..=whole).contains(&pause),
                    "{failures}: {pause}"
                );
            }
        }
    }

    #[test]
    fn pauses_differ() {
        let first = pause(7, Duration::from_secs(60));
        assert!((0..100).any(|_| pause(7, Duration::from_secs(60)) != first));
    }
}
