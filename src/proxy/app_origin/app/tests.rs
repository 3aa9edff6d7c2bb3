#![allow(clippy::unwrap_used)]
use super::*;

#[test]
fn a_host_name_leads_to_the_proxy_of_its_app_alone() {
    for (host, path, slug) in [
        (
            "grafana.monitoring.svc",
            "monitoring/services/grafana",
            None,
        ),
        ("3000.grafana.m.svc", "m/services/grafana:3000", None),
        (
            "http-web.grafana.m.svc",
            "m/services/grafana:http-web",
            None,
        ),
        ("https-443.dash.m.svc", "m/services/https:dash:443", None),
        ("https-web.dash.m.svc", "m/services/https:dash:web", None),
        ("https-0.dash.m.svc", "m/services/https:dash:", None),
        ("dash.m.svc.prod-eu", "m/services/dash", Some("prod-eu")),
        ("8080.web-0.shop.pod", "shop/pods/web-0:8080", None),
        ("web-0.shop.pod.prod", "shop/pods/web-0", Some("prod")),
        (
            "etcd-n1.example.com.kube-system.pod",
            "kube-system/pods/etcd-n1.example.com",
            None,
        ),
        (
            "https-6443.api.n1.example.k.pod",
            "k/pods/https:api.n1.example:6443",
            None,
        ),
        ("0.80.web.shop.pod", "shop/pods/80.web", None),
        // The label before `svc` is the namespace, whatever it is called.
        ("a.svc.svc", "svc/services/a", None),
        ("svc.pod.svc.pod.pod", "pod/pods/svc.pod.svc", None),
    ] {
        let origin = AppOrigin::parse(&format!("{host}.localhost")).unwrap();
        assert_eq!(
            origin.app.proxy_path(),
            format!("/api/v1/namespaces/{path}/proxy")
        );
        assert_eq!(origin.slug.as_ref().map(Slug::as_str), slug, "{host}");
        assert_eq!(origin.host().unwrap(), format!("{host}.localhost"));
    }
}

#[test]
fn other_names_are_no_apps() {
    let long = format!("{}.m.svc.localhost", "a".repeat(64));
    let longer = format!("{}m.pod.localhost", "abcdefgh.".repeat(28));
    for name in [
        "localhost",
        "svc.localhost",
        "m.svc.localhost",
        "grafana.m.svc",
        "grafana.m.svc.example",
        "grafana.m.svc.localhost.example",
        "grafana.m.svc.cluster.local.localhost",
        "a.b.c.m.svc.localhost",
        "grafana.m.services.localhost",
        "grafana_x.m.svc.localhost",
        "Grafana.m.svc.localhost",
        "-grafana.m.svc.localhost",
        "grafana-.m.svc.localhost",
        "grafana..m.svc.localhost",
        ".m.svc.localhost",
        "65536.grafana.m.svc.localhost",
        "080.grafana.m.svc.localhost",
        "https-.grafana.m.svc.localhost",
        "grafana.m.svc.pr_od.localhost",
        &long,
        &longer,
    ] {
        assert_eq!(AppOrigin::parse(name), None, "{name}");
    }
}

#[test]
fn a_path_of_the_api_is_split_into_app_and_rest() {
    for (path, host, rest) in [
        ("m/services/grafana/proxy/", "grafana.m.svc", "/"),
        ("m/services/grafana/proxy", "grafana.m.svc", ""),
        ("m/services/grafana:/proxy/a?b", "grafana.m.svc", "/a?b"),
        ("m/services/http:grafana:/proxy//a", "grafana.m.svc", "//a"),
        ("m/services/https:dash:/proxy/", "https-0.dash.m.svc", "/"),
        (
            "m/services/https%3Adash%3a443/proxy/",
            "https-443.dash.m.svc",
            "/",
        ),
        ("m/pods/web-0:80/proxy/x", "80.web-0.m.pod", "/x"),
        ("m/pods/80.web/proxy/", "0.80.web.m.pod", "/"),
    ] {
        let path = format!("/api/v1/namespaces/{path}");
        let (app, left) = App::split_path(&path).unwrap();
        let origin = AppOrigin { app, slug: None };
        assert_eq!(
            origin.host().unwrap(),
            format!("{host}.localhost"),
            "{path}"
        );
        assert_eq!(left, rest, "{path}");
    }
    for path in [
        "/api/v1/namespaces/m/services/grafana",
        "/api/v1/namespaces/m/services/grafana/proxyx",
        "/api/v1/namespaces/m/services/grafana/status",
        "/api/v1/namespaces/m/secrets/grafana/proxy/",
        "/api/v1/namespaces/m/services/ftp:grafana:1/proxy/",
        "/api/v1/namespaces/m/services/https:a:b:c/proxy/",
        "/api/v1/namespaces/m/services/../proxy/",
        "/api/v1/namespaces/m/services/%2e%2e/proxy/",
        "/api/v1/namespaces/m/services/a%2fb/proxy/",
        "/api/v1/namespaces//services/grafana/proxy/",
        "/api/v1/namespaces/M/services/Grafana/proxy/",
        "/api/v1/nodes/n/proxy/",
        "/apis/v1/namespaces/m/services/grafana/proxy/",
        "/x/api/v1/namespaces/m/services/grafana/proxy/",
    ] {
        assert_eq!(App::split_path(path), None, "{path}");
    }
}

#[test]
fn a_port_whose_label_would_mean_another_app_has_no_host() {
    let path = "/api/v1/namespaces/m/services/kubelet:https-metrics/proxy/";
    let (app, _) = App::split_path(path).unwrap();
    assert_eq!(AppOrigin { app, slug: None }.host(), None);
}

#[test]
fn the_apps_own_proxy_path_is_taken_off_once() {
    let (app, _) = App::split_path("/api/v1/namespaces/m/services/a:80/proxy/").unwrap();
    let base = app.proxy_path();
    for (path, own) in [
        ("/", "/"),
        ("/x?y", "/x?y"),
        (&format!("{base}/x?y"), "/x?y"),
        (&*base, "/"),
        (&format!("{base}{base}/x"), &*format!("{base}/x")),
        ("/api/v1/namespaces/m/services/http:a:80/proxy/x", "/x"),
        // Another port is another app.
        (
            "/api/v1/namespaces/m/services/a/proxy/x",
            "/api/v1/namespaces/m/services/a/proxy/x",
        ),
        (
            "/api/v1/namespaces/n/services/a:80/proxy/x",
            "/api/v1/namespaces/n/services/a:80/proxy/x",
        ),
    ] {
        assert_eq!(app.own_path(path), own, "{path}");
    }
}
