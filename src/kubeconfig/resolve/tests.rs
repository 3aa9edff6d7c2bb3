#![allow(clippy::unwrap_used)]
use super::*;

#[test]
fn without_any_source_the_error_names_the_candidates() {
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
fn an_empty_explicit_file_is_an_error_of_its_own() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = resolve(Some(file.path()), &Overrides::default(), &|_| None).unwrap_err();
    assert!(matches!(error, Error::NoContext { .. }), "{error}");
}

/// A folder with a kubeconfig of two contexts, and the environment that names it.
struct Home(tempfile::TempDir);

impl Home {
    fn with(current: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.write(current);
        home
    }

    fn write(&self, current: &str) {
        let text = format!(
            "current-context: {current}\n\
             clusters: [{{name: c, cluster: {{server: 'https://c'}}}}]\n\
             contexts: [{{name: a, context: {{cluster: c}}}}, {{name: b, context: {{cluster: c}}}}]\n"
        );
        std::fs::write(self.0.path().join("config"), text).unwrap();
    }

    fn resolve(&self, pin: Option<&Pin>) -> Result<Resolved, Error> {
        self.resolve_with(&Overrides::default(), pin)
    }

    fn resolve_with(&self, flags: &Overrides, pin: Option<&Pin>) -> Result<Resolved, Error> {
        let path = self.0.path().join("config").into_os_string();
        resolve_pinned(None, flags, pin, &|name| {
            (name == "KUBECONFIG").then(|| path.clone())
        })
    }
}

#[test]
fn a_pinned_context_is_independent_of_current_context() {
    let home = Home::with("a");
    let first = home.resolve(None).unwrap();
    assert_eq!(first.pin, Pin::Context(Some("a".to_owned())));
    assert_eq!(first.files, [home.0.path().join("config")]);
    home.write("b");
    let context = |pin| home.resolve(Some(pin)).unwrap().target.context;
    assert_eq!(context(&first.pin).as_deref(), Some("a"));
    assert_eq!(context(&Pin::CurrentContext).as_deref(), Some("b"));
}

#[test]
fn a_missing_pinned_context_is_an_error_that_names_it() {
    let home = Home::with("a");
    let gone = Pin::Context(Some("z".to_owned()));
    let error = home.resolve(Some(&gone)).unwrap_err().to_string();
    assert!(
        error.contains("\"z\", named by current-context at the start"),
        "{error}"
    );
    std::fs::remove_file(home.0.path().join("config")).unwrap();
    let error = home.resolve(Some(&gone)).unwrap_err();
    assert!(matches!(error, Error::KubeconfigGone { .. }), "{error}");
}

#[test]
fn flags_without_a_context_ignore_a_later_current_context() {
    let home = Home::with("a");
    let flags = Overrides {
        server: Some("https://flag".to_owned()),
        ..Overrides::default()
    };
    let found = home
        .resolve_with(&flags, Some(&Pin::Context(None)))
        .unwrap();
    assert_eq!(found.target.context, None);
    assert_eq!(found.target.user.name, None);
}
