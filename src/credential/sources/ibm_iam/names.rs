//! Things that have a name and an id: finding one, and saying which there are.

use std::fmt::Write as _;

/// How many names an error shows.
const SHOWN: usize = 10;
/// How alike a name must be to be a guess (Jaro-Winkler; 1 is the same).
const ALIKE: f64 = 0.75;

pub(super) trait Named {
    fn name(&self) -> &str;
    fn id(&self) -> &str;
}

/// Those of the id, else those of the name.
pub(super) fn find<'a, T: Named>(all: &'a [T], asked: &str) -> Vec<&'a T> {
    let by_id: Vec<_> = all.iter().filter(|one| one.id() == asked).collect();
    if by_id.is_empty() {
        return all.iter().filter(|one| one.name() == asked).collect();
    }
    by_id
}

/// Names and ids, as an error lists them. Quoted, so that no name can drive a terminal.
pub(super) fn names<T: Named>(all: &[T]) -> String {
    let mut text = String::new();
    for one in all.iter().take(SHOWN) {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{comma}{:?} ({})",
            one.name(),
            one.id().escape_debug()
        );
    }
    if all.len() > SHOWN {
        let _ = write!(text, " and {} more", all.len() - SHOWN);
    }
    text
}

/// A sentence's end that says which there are: those whose names are close, else all.
pub(super) fn suggestions<T: Named>(all: &[T], asked: &str) -> String {
    let asked = asked.to_lowercase();
    let mut close: Vec<(f64, &T)> = all
        .iter()
        .map(|one| (likeness(&one.name().to_lowercase(), &asked), one))
        .filter(|(likeness, _)| *likeness >= ALIKE)
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

fn likeness(name: &str, asked: &str) -> f64 {
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
    fn an_id_goes_before_a_name() {
        let all = [One("a", "1"), One("1", "2"), One("b", "3"), One("b", "4")];
        let ids = |asked| -> Vec<&str> { find(&all, asked).iter().map(|one| one.1).collect() };
        assert_eq!(ids("1"), ["1"]);
        assert_eq!(ids("a"), ["1"]);
        assert_eq!(ids("b"), ["3", "4"]);
        assert!(ids("c").is_empty());
    }

    #[test]
    fn close_names_come_first_and_all_of_them_where_none_is() {
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
    fn a_long_list_is_cut() {
        let all: Vec<One> = (0..13).map(|_| One("n", "i")).collect();
        assert!(names(&all).ends_with("and 3 more"));
    }
}
