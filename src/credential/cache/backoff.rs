//! The pause after a failure: a second that doubles with each consecutive failure up to a maximum,
//! then a random part of that, so that many kubegates do not call an issuer at the same time.

use std::time::Duration;

use crate::jitter;

const FIRST: Duration = Duration::from_secs(1);

/// Keeps a burst of requests from calling the source twice at once.
const SHORTEST: Duration = Duration::from_millis(10);

/// The pause while there is no valid credential: at least half of the whole, because every request
/// would call the source.
pub(super) fn pause(failures: u32, longest: Duration) -> Duration {
    whole(FIRST, failures, longest).mul_f64(0.5 + 0.5 * jitter::fraction())
}

/// The pause while there is a valid credential: any part of the whole ("full jitter"). It starts
/// low enough for several tries where `longest` is short.
pub(in crate::credential) fn full_jitter(failures: u32, longest: Duration) -> Duration {
    let whole = whole(FIRST.min(longest / 8), failures, longest);
    whole.mul_f64(jitter::fraction()).max(SHORTEST)
}

fn whole(first: Duration, failures: u32, longest: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    (first * 2_u32.pow(doublings)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(60);
    const WHOLES: [(u32, f64); 6] = [
        (1, 1.0),
        (2, 2.0),
        (3, 4.0),
        (6, 32.0),
        (7, 60.0),
        (u32::MAX, 60.0),
    ];

    #[test]
    fn pauses_double_from_a_second_to_the_longest() {
        for (failures, whole) in WHOLES {
            for _ in 0..100 {
                let pause = pause(failures, LONGEST).as_secs_f64();
                assert!(
                    (whole / 2.0..=whole).contains(&pause),
                    "{failures}: {pause}"
                );
            }
        }
    }

    #[test]
    fn full_jitter_takes_any_part_of_the_same() {
        for (failures, whole) in WHOLES {
            let pauses = (0..200).map(|_| full_jitter(failures, LONGEST).as_secs_f64());
            let pauses: Vec<_> = pauses.collect();
            let all =
                |range: std::ops::Range<f64>| pauses.iter().all(|pause| range.contains(pause));
            assert!(all(0.0..whole + 0.01), "{failures}: {pauses:?}");
            // The probability that some quarter gets none of 200 samples is 10^-25.
            for quarter in [0.0, 0.25, 0.5, 0.75] {
                let range = quarter * whole..(quarter + 0.25) * whole;
                let hit = pauses.iter().any(|pause| range.contains(pause));
                assert!(hit, "{failures}: none in {range:?}");
            }
        }
    }

    #[test]
    fn a_short_longest_pause_scales_the_first_one_down() {
        let longest = Duration::from_millis(400);
        for (failures, whole) in [(1, 50), (2, 100), (4, 400), (5, 400)] {
            for _ in 0..100 {
                let pause = full_jitter(failures, longest);
                assert!(
                    pause <= Duration::from_millis(whole),
                    "{failures}: {pause:?}"
                );
                assert!(pause >= SHORTEST);
            }
        }
    }

    #[test]
    fn pauses_differ() {
        for pause in [pause, full_jitter] {
            let first = pause(7, LONGEST);
            assert!((0..100).any(|_| pause(7, LONGEST) != first));
        }
    }
}
