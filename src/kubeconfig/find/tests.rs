#![allow(clippy::unwrap_used)]
use super::*;

#[test]
fn with_nothing_to_go_by_the_error_names_what_was_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let env = |name: &str| (name == "HOME").then(|| folder.path().into());
    let error = resolve(None, &Overrides::default(), &env).unwrap_err();
    assert!(matches!(error, Error::NothingFound { .. }));
    let text = error.to_string();
    let home = folder.path().join(".kube/config").display().to_string();
    assert!(
        text.contains(&home) && text.contains("service account") && text.contains("--server"),
        "{text}"
    );

    let flags = Overrides {
        server: Some("https://a".to_owned()),
        ..Overrides::default()
    };
    assert_eq!(
        resolve(None, &flags, &env).unwrap().cluster.server,
        "https://a/"
    );
}

#[test]
fn an_explicit_file_with_nothing_in_it_is_an_error_of_its_own() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = resolve(Some(file.path()), &Overrides::default(), &|_| None).unwrap_err();
    assert!(matches!(error, Error::NoContext { .. }), "{error}");
}
