//! The project whose name becomes the namespace of a context.

use kubegate::{
    demo::openshift::Projects,
    kubeconfig::{self, Overrides},
};

use super::*;

impl Cluster {
    /// Logs in, and returns the namespace of the context and what was said.
    fn namespace_after_login(&self, args: &[&str]) -> (Option<String>, String) {
        let args = [&["-u", "alice", "--password-stdin"], args].concat();
        let ended = self.login_with_cas(&args, "sesame-os-1");
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let path = PathBuf::from(self.config());
        let target = kubeconfig::resolve(Some(&path), &Overrides::default(), &|_| None).unwrap();
        (target.namespace, ended.stderr)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_projects_the_first_is_chosen() {
    let cluster = Cluster::with(Options {
        sees_default: false,
        more_projects: 1500,
        ..Options::default()
    })
    .await;
    let (namespace, said) = cluster.namespace_after_login(&[]);
    assert_eq!(namespace.as_deref(), Some("demo"), "{said}");
    assert!(!said.contains("WARN"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_project_of_an_earlier_login_comes_before_the_default() {
    let cluster = Cluster::with(Options {
        more_projects: 3,
        ..Options::default()
    })
    .await;
    let (namespace, _) = cluster.namespace_after_login(&[]);
    assert_eq!(namespace.as_deref(), Some("default"));
    let (namespace, _) = cluster.namespace_after_login(&["-n", "project-0002"]);
    assert_eq!(namespace.as_deref(), Some("project-0002"));
    let (namespace, _) = cluster.namespace_after_login(&[]);
    assert_eq!(namespace.as_deref(), Some("project-0002"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_stands_without_its_projects() {
    for projects in [Projects::Failing, Projects::Page] {
        let cluster = Cluster::with(Options {
            projects,
            ..Options::default()
        })
        .await;
        let (namespace, said) = cluster.namespace_after_login(&[]);
        assert_eq!(namespace, None, "{said}");
        assert!(
            said.contains("asked for the projects") && said.contains("-n"),
            "{said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
        cluster.works().await;
    }
}
