//! The query of a stream request, read as the API server reads it.

use percent_encoding::percent_decode_str;

/// Decoded query parameters, in their order; names may repeat.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(raw: Option<&str>) -> Self {
        let pairs = raw
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(name), decode(value))
                })
                .collect(),
        )
    }

    /// The first value of `name`; an empty one counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next().filter(|value| !value.is_empty())
    }

    /// Every value of `name`, in order.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let pairs = self.0.iter().filter(move |(key, _)| key == name);
        pairs.map(|(_, value)| value.as_str())
    }

    /// A boolean by apimachinery's rule (`Convert_Slice_string_To_bool`): absent, `0` and
    /// `false` are false, anything else is true, even the empty string.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.all(name)
            .next()
            .is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }
}

fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::Query;

    #[test]
    fn repeated_names_keep_their_order_and_are_decoded() {
        let query = Query::parse(Some("command=sh&command=-c&command=echo%20a+b%26c&stdin"));
        let command: Vec<_> = query.all("command").collect();
        assert_eq!(command, ["sh", "-c", "echo a b&c"]);
    }

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
    fn an_empty_container_counts_as_none_given() {
        assert_eq!(Query::parse(Some("container=")).get("container"), None);
        assert_eq!(
            Query::parse(Some("container=x")).get("container"),
            Some("x")
        );
    }
}
