//! The query of a request, decoded.

use percent_encoding::percent_decode_str;

/// Names and values in the order sent.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(raw: Option<&str>) -> Self {
        let pairs = raw.unwrap_or_default().split('&');
        Self(
            pairs
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(name), decode(value))
                })
                .collect(),
        )
    }

    /// The first value of that name, unless it is empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.first(name).filter(|value| !value.is_empty())
    }

    /// As the API server reads booleans: present, and neither `false` nor `0`.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.first(name)
            .is_some_and(|value| !value.eq_ignore_ascii_case("false") && value != "0")
    }

    /// A whole number; absent or unreadable is `None`.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    fn first(&self, name: &str) -> Option<&str> {
        let pair = self.0.iter().find(|(key, _)| key == name)?;
        Some(&pair.1)
    }
}

fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_as_the_api_server_reads_them() {
        let query = Query::parse(Some("watch&pretty=0&dry=FALSE&follow=1&empty="));
        assert!(query.flag("watch") && query.flag("follow") && query.flag("empty"));
        assert!(!query.flag("pretty") && !query.flag("dry") && !query.flag("absent"));
    }

    #[test]
    fn values_are_decoded_after_the_pairs_are_split() {
        let query = Query::parse(Some("labelSelector=a%3Db%26c&x=1+2&x=3"));
        assert_eq!(query.get("labelSelector"), Some("a=b&c"));
        assert_eq!(query.get("x"), Some("1 2"));
    }
}
