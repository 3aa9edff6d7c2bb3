//! Ages in the short form that kubectl shows.

use jiff::Timestamp;

/// The age of a timestamp as `kubectl get` shows it; `<unknown>` if there is no valid one.
pub(crate) fn since(timestamp: Option<&str>, now: Timestamp) -> String {
    let then = timestamp.and_then(|text| text.parse::<Timestamp>().ok());
    then.map_or_else(
        || "<unknown>".to_owned(),
        |then| human_duration(now.as_second() - then.as_second()),
    )
}

/// Formats a duration like `HumanDuration` of `k8s.io/apimachinery/pkg/util/duration`.
fn human_duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: i64, unit: char, small: i64, part: char| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{part}"),
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, 'm', seconds % 60, 's'),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, 'h', minutes % 60, 'm'),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, 'd', hours % 24, 'h'),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(days / 365, 'y', days % 365, 'd'),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_the_form_of_kubectl() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (150, "2m30s"),
            (660, "11m"),
            (10_860, "3h1m"),
            (86_400, "24h"),
            (176_400, "2d1h"),
            (864_000, "10d"),
            (-1, "0s"),
            (-9, "<invalid>"),
        ] {
            assert_eq!(human_duration(seconds), text, "{seconds} seconds");
        }
        assert_eq!(since(None, Timestamp::now()), "<unknown>");
    }
}
