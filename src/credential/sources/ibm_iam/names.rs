//! [`Named`]: accounts and clusters, which have a name and an ID. Finds one, and lists them in errors.

use std::fmt::Write as _;

/// The most names that an error shows.
const MAX_SHOWN: usize = 10;
/// The similarity from which a name is suggested (Jaro-Winkler; 1 is equal).
const MIN_SIMILARITY: f64 = 0.75;

pub(super) trait Named {
    fn name(&self) -> &str;
    fn id(&self) -> &str;
}

/// Returns those with the ID `asked`, else those with this name.
pub(super) fn find<'a, T: Named>(all: &'a [T], asked: &str) -> Vec<&'a T> {
    let by_id: Vec<_> = all.iter().filter(|one| one.id() == asked).collect();
    if by_id.is_empty() {
        return all.iter().filter(|one| one.name() == asked).collect();
    }
    by_id
}

/// Returns names and IDs as a list for an error, quoted so that they have no control characters.
pub(super) fn names<T: Named>(all: &[T]) -> String {
    let mut text = String::new();
    for one in all.iter().take(MAX_SHOWN) {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "{comma}{:?} ({})",
            one.name(),
            one.id().escape_debug()
        );
    }
    if all.len() > MAX_SHOWN {
        let _ = write!(text, " and {} more", all.len() - MAX_SHOWN);
    }
    text
}

/// Returns the end of a sentence that names similar ones, else all.
pub(super) fn suggestions<T: Named>(all: &[T], asked: &str) -> String {
    let asked = asked.to_lowercase();
    let mut close: Vec<(f64, &T)> = all
        .iter()
        .map(|one| (similarity(&one.name().to_lowercase(), &asked), one))
        .filter(|(similarity, _)| *similarity >= MIN_SIMILARITY)
        .collect();
    close.sort_by(|one, other| other.0.total_cmp(&one.0));
    let quoted: Vec<String> = close
        .iter()
        .take(3)
        .map(|(_, one)| format!("{:?}", one.name()))
        .collect();
    match (all, &quoted[..]) {
        ([], _) => "there is none at all".to_owned(),
        (all, []) => format!("there is {}", names(all)),
        (_, quoted) => format!("did you mean {}?", quoted.join(" or ")),
    }
}

fn similarity(name: &str, asked: &str) -> f64 {
    if name.contains(asked) || (!name.is_empty() && asked.contains(name)) {
        return 1.0;
    }
    strsim::jaro_winkler(name, asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One(&'static str, &'static str);

    impl Named for One {
        fn name(&self) -> &str {
            self.0
        }

        fn id(&self) -> &str {
            self.1
        }
    }

    #[test]
    fn ids_take_precedence_over_names() {
        let all = [One("a", "1"), One("1", "2"), One("b", "3"), One("b", "4")];
        let ids = |asked| -> Vec<&str> { find(&all, asked).iter().map(|one| one.1).collect() };
        assert_eq!(ids("1"), ["1"]);
        assert_eq!(ids("a"), ["1"]);
        assert_eq!(ids("b"), ["3", "4"]);
        assert!(ids("c").is_empty());
    }

    #[test]
    fn similar_names_are_suggested_or_else_all_listed() {
        let all = [
            One("production-eu", "1"),
            One("staging", "2"),
            One("production", "3"),
            One("\u{1b}[31m", "4"),
        ];
        let close = suggestions(&all, "prodution");
        assert!(close.starts_with("did you mean \"production"), "{close}");
        assert!(close.contains("\"production-eu\""), "{close}");
        assert!(!close.contains("staging"), "{close}");
        assert!(suggestions(&all, "PROD").contains("\"production\""));
        let none = suggestions(&all, "zzz");
        assert!(none.contains("\"staging\" (2)"), "{none}");
        assert!(!none.contains('\u{1b}'), "{none}");
        assert!(suggestions::<One>(&[], "x").contains("none at all"));
    }

    #[test]
    fn a_long_list_is_shortened() {
        let all: Vec<One> = (0..13).map(|_| One("n", "i")).collect();
        assert!(names(&all).ends_with("and 3 more"));
    }
}
