//! The query of a request, decoded.

use percent_encoding::percent_decode_str;

/// Names and values in the order sent.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(raw: Option<&str>) -> Self {
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
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next().filter(|value| !value.is_empty())
    }

    /// Every value of that name, in the order sent.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let pairs = self.0.iter().filter(move |(key, _)| key == name);
        pairs.map(|(_, value)| value.as_str())
    }

    /// A boolean by apimachinery's rule (`Convert_Slice_string_To_bool`): absent, `0` and
    /// `false` are false, anything else is true, even the empty string.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.all(name)
            .next()
            .is_some_and(|value| !value.eq_ignore_ascii_case("false") && value != "0")
    }

    /// A whole number; absent or unreadable is `None`.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
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
    fn a_flag_is_false_only_when_absent_zero_or_false() {
        let query = Query::parse(Some("a=1&b=true&c=&d=0&e=False&f"));
        let set: Vec<_> = ["a", "b", "c", "d", "e", "f", "g"]
            .into_iter()
            .filter(|name| query.flag(name))
            .collect();
        assert_eq!(set, ["a", "b", "c", "f"]);
    }

    #[test]
    fn values_are_decoded_after_the_pairs_are_split_and_keep_their_order() {
        let query = Query::parse(Some("labelSelector=a%3Db%26c&x=1+2&x=3"));
        assert_eq!(query.get("labelSelector"), Some("a=b&c"));
        assert_eq!(query.get("x"), Some("1 2"));
        assert_eq!(query.all("x").collect::<Vec<_>>(), ["1 2", "3"]);
    }

    #[test]
    fn an_empty_value_counts_as_none_given() {
        assert_eq!(Query::parse(Some("container=")).get("container"), None);
        let query = Query::parse(Some("container=x"));
        assert_eq!(query.get("container"), Some("x"));
    }
}
