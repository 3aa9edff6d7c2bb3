#![allow(clippy::unwrap_used)]
use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::{
    credential::Cache,
    kubeconfig::{Cluster, Slug, User},
    proxy::Resolver as _,
    serve::{ResolvedTarget, TargetFuture, TargetSource},
    upstream::Upstream,
};

/// Contexts whose targets tests set, and how often each was resolved.
#[derive(Clone, Default)]
struct Scripted(Arc<Script>);

#[derive(Default)]
struct Script {
    servers: Mutex<BTreeMap<String, String>>,
    resolved: AtomicUsize,
}

impl Scripted {
    fn set(&self, contexts: &[(&str, &str)]) -> FoundContexts {
        let contexts = contexts
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
        *self.0.servers.lock().unwrap() = contexts.collect();
        self.read().unwrap()
    }

    fn resolved(&self) -> usize {
        self.0.resolved.load(Ordering::SeqCst)
    }
}

fn target(context: &str, server: &str) -> Target {
    Target {
        context: Some(context.to_owned()),
        context_ref: None,
        namespace: None,
        cluster: Cluster {
            name: None,
            server: server.parse().unwrap(),
            certificate_authority: None,
            insecure_skip_tls_verify: false,
            tls_server_name: None,
            proxy_url: None,
            disable_compression: false,
            exec_config: None,
        },
        file_cluster: None,
        user: User::default(),
    }
}

impl ContextSource for Scripted {
    fn read(&self) -> Result<FoundContexts, BoxError> {
        let servers = self.0.servers.lock().unwrap();
        let context = |(name, server): (&String, &String)| FoundContext {
            summary: ContextSummary {
                name: name.clone(),
                server: Some(server.clone()),
                verified_by: None,
                error: None,
            },
            target: Some(target(name, server)),
        };
        Ok(FoundContexts {
            contexts: servers.iter().map(context).collect(),
            files: Vec::new(),
        })
    }

    fn target_source(&self, context: &str) -> Box<dyn TargetSource> {
        Box::new(One(self.clone(), context.to_owned()))
    }
}

struct One(Scripted, String);

impl TargetSource for One {
    fn resolve(&self) -> TargetFuture<'_> {
        Box::pin(async {
            self.0.0.resolved.fetch_add(1, Ordering::SeqCst);
            let server = self.0.0.servers.lock().unwrap().get(&self.1).cloned();
            let target = target(&self.1, &server.ok_or("gone")?);
            Ok(ResolvedTarget {
                target,
                files: Vec::new(),
            })
        })
    }

    fn credentials(&self, target: &Target) -> Result<Arc<Cache>, BoxError> {
        Ok(crate::credential::from_user(target, None)?)
    }

    fn keeps_credentials(&self, _: &Target, _: &Target) -> bool {
        true
    }
}

fn upstream(target: &Target) -> Result<Upstream, BoxError> {
    let cluster = &target.cluster;
    let environment = crate::dial::Environment::read(|_| None);
    let tcp = crate::dial::Tcp {
        connect_timeout: Duration::from_secs(1),
        keepalive: None,
    };
    Ok(Upstream::new(
        cluster,
        crate::tls::Trust::of_cluster(cluster)?,
        crate::dial::Dialer::new(cluster, &environment, tcp)?,
        true,
        crate::upstream::Timeouts::default(),
    )?)
}

fn set(source: &Scripted, contexts: &[(&str, &str)]) -> Result<ContextSet, BoxError> {
    let found = source.set(contexts);
    ContextSet::new(
        Box::new(source.clone()),
        found,
        Root::Nothing,
        Connector::new(Arc::new(upstream)),
        ClientCredentials::default(),
        Drain::default(),
    )
}

/// Does what the first request for a context does.
async fn ask(set: &ContextSet, context: &str) -> Result<(), String> {
    let lazy = set.served[context].lazy.clone();
    lazy.resolve()
        .await
        .map_err(|error| crate::error::with_causes(&error))
}

fn is_active(set: &ContextSet, context: &str) -> bool {
    let table = set.contexts().load();
    let entry = table.by_slug(&Slug::of_context(context)).unwrap();
    entry.handle().has_destination()
}

fn names(set: &ContextSet) -> Vec<String> {
    let table = set.contexts().load();
    let entries = table.entries().iter();
    entries.map(|entry| entry.summary().name.clone()).collect()
}

#[tokio::test]
async fn a_context_starts_at_its_first_use_and_is_released_when_it_is_long_idle() {
    let source = Scripted::default();
    let mut set = set(
        &source,
        &[("a", "https://a.invalid"), ("b", "https://b.invalid")],
    )
    .unwrap();
    assert!(!is_active(&set, "a") && source.resolved() == 0);
    ask(&set, "a").await.unwrap();
    ask(&set, "a").await.unwrap();
    assert!(is_active(&set, "a") && !is_active(&set, "b"));
    assert_eq!(source.resolved(), 1);
    let start = Instant::now();
    set.release_idle(start + RELEASED_AFTER / 2);
    assert!(is_active(&set, "a"));
    // A request comes, so the time begins anew.
    set.served["a"].entry.note_request();
    set.release_idle(start + RELEASED_AFTER);
    set.release_idle(start + RELEASED_AFTER * 2 - Duration::from_secs(1));
    assert!(is_active(&set, "a"));
    set.release_idle(start + RELEASED_AFTER * 2);
    assert!(!is_active(&set, "a"));
    ask(&set, "a").await.unwrap();
    assert!(is_active(&set, "a") && source.resolved() == 2);
}

#[tokio::test]
async fn a_change_of_one_context_leaves_the_others_as_they_are() {
    let source = Scripted::default();
    let first = [("a", "https://a.invalid"), ("b", "https://b.invalid")];
    let mut set = set(&source, &first).unwrap();
    ask(&set, "a").await.unwrap();
    ask(&set, "b").await.unwrap();
    let handles = |set: &ContextSet| {
        let table = set.contexts().load();
        let entries = table.entries().iter().map(Arc::clone);
        entries.collect::<Vec<_>>()
    };
    let before = handles(&set);
    let found = source.set(&first);
    set.apply(found, Instant::now());
    let same = |(one, other): (&Arc<ContextEntry>, &Arc<ContextEntry>)| Arc::ptr_eq(one, other);
    assert!(before.iter().zip(&handles(&set)).all(same));
    let found = source.set(&[
        ("a", "https://other.invalid"),
        ("b", "https://b.invalid"),
        ("c", "https://c.invalid"),
    ]);
    set.apply(found, Instant::now());
    assert_eq!(names(&set), ["a", "b", "c"]);
    let after = handles(&set);
    assert!(Arc::ptr_eq(&before[1], &after[1]));
    assert_eq!(
        after[0].summary().server.as_deref(),
        Some("https://other.invalid")
    );
    assert!(is_active(&set, "a"), "in use until it is reloaded");
    let found = source.set(&[("b", "https://b.invalid"), ("renamed", "https://a.invalid")]);
    set.apply(found, Instant::now());
    assert_eq!(names(&set), ["b", "renamed"]);
    assert!(Arc::ptr_eq(&before[1], &handles(&set)[0]));
}

#[tokio::test]
async fn a_context_that_failed_is_tried_anew_after_a_change() {
    let source = Scripted::default();
    let mut set = set(
        &source,
        &[("a", "https://a.invalid"), ("b", "https://b.invalid")],
    )
    .unwrap();
    source.set(&[("b", "https://b.invalid")]);
    for _ in 0..3 {
        let error = ask(&set, "a").await.unwrap_err();
        assert_eq!(error, "the context \"a\" cannot be used: gone");
    }
    assert_eq!(source.resolved(), 1, "one attempt a second");
    let found = source.set(&[("a", "https://a.invalid"), ("b", "https://b.invalid")]);
    set.apply(found, Instant::now());
    ask(&set, "a").await.unwrap();
}

#[tokio::test]
async fn slugs_that_meet_are_an_error_at_the_start_and_a_warning_later() {
    let source = Scripted::default();
    let slug = Slug::of_context("A").to_string();
    let both = [
        ("A", "https://a.invalid"),
        (slug.as_str(), "https://b.invalid"),
    ];
    let error = set(&source, &both).err().unwrap().to_string();
    assert!(
        error.contains(&format!("/clusters/{slug}/; rename one")),
        "{error}"
    );
    let mut set = set(&source, &both[..1]).unwrap();
    let found = source.set(&both);
    set.apply(found, Instant::now());
    assert_eq!(names(&set), ["A"]);
}
