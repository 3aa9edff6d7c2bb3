//! Checks of what is asked: commands, patterns, read-only.

use super::{EXEC, WEBSOCKET, check, check_with, guard, patterns, status};

#[test]
fn what_runs_commands_is_refused_by_default() {
    let guard = guard(|_| ());
    for wanted in [
        "GET /api/v1/namespaces/default/pods/web-0/exec",
        "POST /api/v1/namespaces/default/pods/web-0/exec",
        "get /api/v1/namespaces/default/pods/web-0/exec",
        "POST /api/v1/namespaces/default/pods/web-0/attach?stdin=1",
        "PATCH /api/v1/namespaces/default/pods/web-0/ephemeralcontainers",
        "PUT /api/v1/namespaces/default/pods/web-0/ephemeralcontainers",
        "POST /api/v2/namespaces/default/pods/web-0/exec",
        "POST /apis/example.com/v1/namespaces/default/pods/web-0/exec",
        "POST /api/v1/pods/web-0/exec",
        "POST /api/v1/namespaces/default/pods/web-0/exec/",
        "POST /api/v1/namespaces/default/pods/web-0/exec/more",
        "POST /api/v1/watch/namespaces/default/pods/web-0/exec",
        "POST /k8s/clusters/c-1/api/v1/namespaces/default/pods/web-0/exec",
        "POST /api/v1/namespaces/d/services/https:api:443/proxy/api/v1/namespaces/d/pods/p/exec",
        "POST /api/v1/nodes/n/proxy/run/default/web-0/c",
        "GET /api/v1/nodes/n/proxy",
        "GET /api/v1/nodes/n/proxy/",
        "GET /api/v1/nodes/n/proxy/pods",
        "GET /api/v1/nodes/https:n:10250/proxy/exec/default/web-0/c?command=id",
        "GET /api/v1/nodes/n/proxy/logs/",
        "POST /api/v1/nodes/n/proxy/metrics",
        "GET /api/v1/nodes/n/proxy/metrics/run",
        "GET /api/v1/nodes/n/proxy/metrics%3Frun",
        "GET /api/v1/nodes/n/proxy//metrics",
        "GET /api/v1/nodes/n/proxy/./metrics",
        "GET /api/v1/nodes//proxy/run/default/web-0/c",
        "GET /api/v1/proxy/nodes/n/run/default/web-0/c",
        "GET /api/v1/proxy/namespaces/default/pods/web-0/exec",
        "GET //api/v1/namespaces/default/pods/web-0/exec",
    ] {
        let (method, target) = wanted.split_once(' ').unwrap();
        let checked = check(&guard, method, target);
        assert_eq!(status(&checked), 403, "{wanted}");
        assert!(
            checked.unwrap_err().message.contains("--allow-exec"),
            "{wanted}"
        );
    }
    for protocol in ["websocket", "WebSocket", "SPDY/3.1", "h2c, websocket"] {
        let upgrade = [("connection", "Upgrade"), ("upgrade", protocol)];
        let upgraded = check_with(&guard, "GET", "/api/v1/nodes/n/proxy/metrics", &upgrade);
        assert_eq!(status(&upgraded), 403, "{protocol}");
    }
    // An upgrade that is not passed on is an ordinary GET, as curl --http2 sends it.
    let h2c = [
        ("connection", "Upgrade, HTTP2-Settings"),
        ("upgrade", "h2c"),
    ];
    let plain = check_with(&guard, "GET", "/api/v1/nodes/n/proxy/metrics", &h2c);
    assert!(plain.is_ok());
    for target in [
        "/api/v1/nodes/n/proxy/metrics/../run",
        "/api/v1/nodes/n/proxy/metrics%2F..%2Frun",
        "/api/v1/nodes/n/proxy/metrics/%2e%2e/run",
        "/api/v1/namespaces/default/pods/web-0/log/..%2Fexec",
    ] {
        assert_eq!(status(&check(&guard, "GET", target)), 400, "{target}");
    }
}

#[test]
fn what_runs_no_commands_passes_by_default() {
    let guard = guard(|_| ());
    for wanted in [
        "GET /",
        "GET /healthz/ping",
        "GET /api/v1/namespaces/default/pods/exec-demo",
        "GET /api/v1/namespaces/default/pods/exec",
        "GET /api/v1/namespaces/exec/pods/attach/log",
        "GET /api/v1/namespaces/default/pods?x=/exec",
        "GET /api/v1/namespaces/default/pods?fieldSelector=metadata.name%3Dfoo",
        "GET /api/v1/namespaces/default/configmaps/a..b",
        "GET /api/v1/namespaces/default/configmaps/exec",
        "POST /api/v1/namespaces/default/pods",
        "DELETE /api/v1/namespaces/default/pods/p",
        "PATCH /apis/apps/v1/namespaces/default/deployments/d/scale",
        "POST /api/v1/namespaces/default/pods/p/portforward",
        "POST /api/v1/namespaces/default/pods/p/eviction",
        "GET /api/v1/namespaces/x/services/https:svc:443/proxy/a%20b/c%2Fd?q",
        "POST /api/v1/namespaces/x/services/svc/proxy//double//slashes/",
        "GET /api/v1/namespaces/x/services/svc/proxy/exec",
        "GET /api/v1/namespaces/x/services/grafana/proxy/api/datasources/proxy/1/api/v1/query",
        "GET /api/v1/namespaces/x/services/api/proxy/proxy/8080/",
        "GET /api/v1/namespaces/x/pods/p:8080/proxy/caf%C3%A9/%E9",
        "GET /api/v1/namespaces/api/pods/proxy/log",
        "GET /api/v1/nodes/n",
        "GET /api/v1/nodes/n/proxy/metrics",
        "HEAD /api/v1/nodes/n/proxy/metrics/cadvisor",
        "GET /api/v1/nodes/https:n:10250/proxy/stats/summary?only_cpu_and_memory=true",
        "GET /api/v1/nodes/n/proxy/configz",
        "GET /api/v1/nodes/n/proxy/healthz",
        "GET /api/v1/proxy/nodes/n/metrics",
        "GET /apis/metrics.k8s.io/v1beta1/namespaces/default/pods",
    ] {
        let (method, target) = wanted.split_once(' ').unwrap();
        assert_eq!(check(&guard, method, target), Ok(()), "{wanted}");
    }
    let forward = check_with(
        &guard,
        "GET",
        "/api/v1/namespaces/d/pods/p/portforward",
        &WEBSOCKET,
    );
    assert_eq!(forward, Ok(()));
}

#[test]
fn three_flags_allow_what_runs_commands() {
    let kubelet = "/api/v1/nodes/n/proxy/run/default/web-0/c";
    for guard in [
        guard(|rules| rules.allow_exec = true),
        guard(|rules| rules.disable_filter = true),
        guard(|rules| rules.reject_paths = Some(Vec::new())),
        guard(|rules| rules.reject_paths = Some(patterns("^/api/.*/secrets"))),
    ] {
        assert_eq!(check(&guard, "POST", EXEC), Ok(()));
        assert_eq!(check(&guard, "POST", kubelet), Ok(()));
        assert_eq!(check_with(&guard, "GET", EXEC, &WEBSOCKET), Ok(()));
    }
}

#[test]
fn path_patterns_match_every_reading_of_the_path() {
    let guard = guard(|rules| {
        rules.accept_paths = patterns("^/api/v1/,^/version$");
        rules.reject_paths = Some(patterns("/secrets(/|$)"));
    });
    for (target, expected) in [
        ("/api/v1/pods", 200),
        ("/%61pi/v1/pods", 200),
        ("/version", 200),
        ("/version?x=/secrets", 200),
        ("/api/v1/secretsauce", 200),
        ("/apis/apps/v1", 403),
        ("/version/", 403),
        ("//api/v1/pods", 403),
        ("/api/v1/secrets", 403),
        ("/api/v1/%73ecrets/x", 403),
        ("/api/v1/namespaces/d%2Fsecrets", 403),
        ("/api/v1/secrets/.", 403),
        ("/api/v1/secrets\\", 400),
    ] {
        assert_eq!(status(&check(&guard, "GET", target)), expected, "{target}");
    }
    let secrets = check(&guard, "GET", "/api/v1/secrets").unwrap_err().message;
    assert!(
        secrets.contains(r#"--reject-paths (pattern "/secrets(/|$)")"#),
        "{secrets}"
    );
    let outside = check(&guard, "GET", "/metrics").unwrap_err().message;
    assert!(outside.contains("--accept-paths"), "{outside}");
}

#[test]
fn read_only_lets_reads_and_reviews_pass() {
    let guard = guard(|rules| rules.read_only = true);
    for wanted in [
        "GET /version",
        "HEAD /healthz",
        "GET /api/v1/pods",
        "GET /api/v1/pods?watch=1",
        "GET /api/v1/namespaces/d/secrets/s",
        "GET /api/v1/namespaces/d/pods/p/log?follow=true",
        "GET /api/v1/nodes/n/proxy/metrics",
        "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        "POST /apis/authorization.k8s.io/v1/subjectaccessreviews",
        "POST /apis/authorization.k8s.io/v1/namespaces/d/localsubjectaccessreviews",
        "POST /apis/authentication.k8s.io/v1/selfsubjectreviews",
        "POST /apis/authentication.k8s.io/v1/tokenreviews",
    ] {
        let (method, target) = wanted.split_once(' ').unwrap();
        assert_eq!(check(&guard, method, target), Ok(()), "{wanted}");
        let h2c = check_with(&guard, method, target, &[("upgrade", "h2c")]);
        assert_eq!(h2c, Ok(()), "{wanted}");
    }
    for target in ["/api/v1/pods?watch=1", "/api/v1/watch/namespaces/d/pods"] {
        assert_eq!(
            check_with(&guard, "GET", target, &WEBSOCKET),
            Ok(()),
            "{target}"
        );
    }
}

#[test]
fn read_only_passes_a_get_of_an_app_with_allow_proxy() {
    let closed = guard(|rules| rules.read_only = true);
    let open = guard(|rules| (rules.read_only, rules.allow_proxy) = (true, true));
    let loose = guard(|_| ());
    for target in [
        "/api/v1/namespaces/d/services/s/proxy/",
        "/api/v1/namespaces/d/services/s/proxy",
        "/api/v1/namespaces/d/services/https:s:443/proxy/reset?all",
        "/api/v1/namespaces/d/pods/p:8080/proxy/x",
        "/api/v1/namespaces/d/pods/p/pr%6fxy/x",
        "/api/v1/namespaces/d/pods/p%2Fproxy%2Fx",
        "/api/v1/namespaces/d/pods//p/proxy/x",
        "/api/v1/watch/namespaces/d/pods/p/proxy/x",
        "/api/v1/proxy/namespaces/d/services/s/x",
        "/api/v1/nodes/n:9100/proxy/metrics",
        "/api/v1/nodes/https:n:10250/proxy/metrics",
        "/apis/cluster.karmada.io/v1alpha1/clusters/c/proxy/api/v1/pods",
        "/k8s/clusters/c-1/api/v1/namespaces/d/services/s/proxy/x",
    ] {
        let refusal = check(&closed, "GET", target).unwrap_err();
        assert!(
            refusal.message.contains("--allow-proxy"),
            "{target}: {refusal}"
        );
        for method in ["GET", "HEAD"] {
            assert_eq!(check(&open, method, target), Ok(()), "{method} {target}");
        }
        assert_eq!(check(&loose, "GET", target), Ok(()), "{target}");
        for (method, headers) in [("POST", &[][..]), ("DELETE", &[]), ("GET", &WEBSOCKET)] {
            let checked = check_with(&open, method, target, headers);
            assert_eq!(status(&checked), 403, "{method} {target}");
        }
    }
    for target in [
        "/api/v1/nodes/n/proxy/run/d/p/c",
        "/api/v1/nodes/n:10250/proxy/run/d/p/c",
        "/api/v1/namespaces/d/services/s/proxy/api/v1/namespaces/d/pods/p/exec",
    ] {
        assert_eq!(status(&check(&open, "GET", target)), 403, "{target}");
    }
}

#[test]
fn consoles_of_other_groups_follow_the_rules_for_exec() {
    let (closed, open) = (guard(|_| ()), guard(|rules| rules.allow_exec = true));
    let read_only = guard(|rules| (rules.read_only, rules.allow_exec) = (true, true));
    for version in ["v1", "v1alpha3", "v2"] {
        for resource in ["virtualmachineinstances", "virtualmachines"] {
            let of = |part| {
                format!("/apis/subresources.kubevirt.io/{version}/namespaces/d/{resource}/m/{part}")
            };
            for part in [
                "console",
                "vnc",
                "vnc/screenshot",
                "usbredir",
                "c%6Fnsole",
                "vnc/",
            ] {
                for headers in [&[][..], &WEBSOCKET] {
                    let refusal = check_with(&closed, "GET", &of(part), headers).unwrap_err();
                    assert!(
                        refusal.message.contains("--allow-exec"),
                        "{part}: {refusal}"
                    );
                    assert_eq!(
                        check_with(&open, "GET", &of(part), headers),
                        Ok(()),
                        "{part}"
                    );
                    let checked = check_with(&read_only, "GET", &of(part), headers);
                    assert_eq!(status(&checked), 403, "{part}");
                }
            }
            for part in ["portforward/22", "portforward/22/tcp", "vsock?port=22"] {
                for headers in [&[][..], &WEBSOCKET] {
                    assert_eq!(
                        check_with(&closed, "GET", &of(part), headers),
                        Ok(()),
                        "{part}"
                    );
                    let checked = check_with(&read_only, "GET", &of(part), headers);
                    assert_eq!(status(&checked), 403, "{part}");
                }
            }
            for part in ["guestosinfo", "sev/fetchcertchain", "status", ""] {
                assert_eq!(check(&read_only, "GET", &of(part)), Ok(()), "{part}");
                assert_eq!(check(&closed, "GET", &of(part)), Ok(()), "{part}");
            }
        }
    }
    for target in [
        "/apis/subresources.virtualization.deckhouse.io/v1alpha2/namespaces/d/virtualmachines/m/console",
        "/api/v1/namespaces/d/services/https:api:443/proxy/apis/subresources.kubevirt.io/v1/namespaces/d/virtualmachines/m/vnc",
    ] {
        assert_eq!(status(&check(&closed, "GET", target)), 403, "{target}");
    }
    // The core group has no such subresources, and a name is not a subresource.
    for target in [
        "/api/v1/namespaces/d/configmaps/c/console",
        "/api/v1/namespaces/d/services/console/proxy/vnc",
        "/apis/kubevirt.io/v1/namespaces/d/virtualmachines/console",
        "/apis/kubevirt.io/v1/namespaces/vnc/virtualmachines/console/status",
    ] {
        assert_eq!(check(&closed, "GET", target), Ok(()), "{target}");
    }
}

#[test]
fn a_rejected_path_is_rejected_in_every_form() {
    let guard = guard(|rules| {
        let patterns = [
            "^/api/v1/secrets$",
            "^/api/v1/namespaces/x/secrets/s$",
            "/services/[^/]+/proxy",
        ];
        rules.reject_paths = Some(patterns.map(String::from).to_vec());
    });
    for target in [
        "/api/v1/secrets",
        "/api/v1/secrets?watch=1",
        "/api/v1/secrets/",
        "/api/v1/secrets//",
        "/api/v1/secrets%2F",
        "/api/v1/secrets%2f%2F",
        "/api/v1/secrets/.",
        "/api/v1//secrets",
        "//api/v1/secrets",
        "/%2Fapi/v1/secrets/",
        "/api%2Fv1%2Fsecrets",
        "/%61pi/v1/%73ecrets/",
        "/api/./v1/secrets/",
        "/api/v1/namespaces//secrets",
        "/api/v1/namespaces//secrets/",
        "/api/v1/namespaces%2F%2Fsecrets",
        "/api/v1/watch/secrets",
        "/api/v1/watch/secrets/",
        "/api/v1/%77atch/secrets",
        "/api/v1/watch%2Fsecrets",
        "/api/v1/watch/namespaces//secrets",
        "/api/v1/namespaces/x/secrets/s/",
        "/api/v1/watch/namespaces/x/secrets/s",
        "/api/v1/namespaces/x%2Fsecrets%2Fs%2F",
        "/api/v1/proxy/namespaces/x/services/a/b",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let checked = check(&guard, method, target);
            assert_eq!(status(&checked), 403, "{method} {target}");
            let refusal = checked.unwrap_err();
            assert!(refusal.message.contains("--reject-paths"), "{refusal}");
        }
    }
    // The most similar other requests.
    for target in [
        "/api/v1/secret",
        "/api/v1/secrets/s",
        "/api/v1/namespaces/x/secrets",
        "/api/v1/namespaces/x/secrets/",
        "/api/v1/namespaces/y/secrets/s",
        "/api/v1/namespaces/x/secrets/s/status",
        "/api/v1/watch/namespaces/x/secrets",
        "/api/v1/namespaces/secrets",
        "/api/v1/Secrets",
        "/api/v1/secrets%20",
        "/api/v1/pods/",
        "/api/v1/pods?x=/api/v1/secrets",
    ] {
        assert_eq!(check(&guard, "GET", target), Ok(()), "{target}");
    }
}

#[test]
fn a_slash_at_the_end_of_a_pattern_counts() {
    let below = guard(|rules| {
        rules.reject_paths = Some(patterns("^/api/v1/namespaces/[^/]+/secrets/,^/version/$"));
    });
    for (target, expected) in [
        ("/api/v1/namespaces/x/secrets", 200),
        ("/api/v1/namespaces/x/secrets/s", 403),
        ("/api/v1/watch/namespaces/x/secrets/s", 403),
        ("/version/", 403),
        ("/version", 200),
    ] {
        assert_eq!(status(&check(&below, "GET", target)), expected, "{target}");
    }
}

#[test]
fn no_spelling_of_another_path_is_accepted() {
    let guard = guard(|rules| {
        rules.accept_paths = patterns("^/api/v1/namespaces/,^/api/v1/watch/,^/version$");
    });
    for (target, expected) in [
        ("/api/v1/namespaces/x/secrets", 200),
        ("/api/v1/namespaces/x/secrets/", 200),
        ("/api/v1/namespaces/x/services/s/proxy/", 200),
        ("/api/v1/watch/secrets", 200),
        ("/version", 200),
        ("/api/v1/secrets", 403),
        ("/api/v1/namespaces//secrets", 403),
        ("/api/v1/namespaces%2F%2Fsecrets", 403),
        ("/api/v1//namespaces/x/secrets", 403),
    ] {
        assert_eq!(status(&check(&guard, "GET", target)), expected, "{target}");
    }
}

#[test]
fn no_header_names_another_method_where_a_rule_checks_it() {
    let loose = guard(|_| ());
    let read_only = guard(|rules| rules.read_only = true);
    let methods = guard(|rules| rules.reject_methods = patterns("^DELETE$"));
    let disabled = guard(|rules| {
        rules.reject_methods = patterns("^DELETE$");
        rules.disable_filter = true;
    });
    for name in [
        "x-http-method-override",
        "X-HTTP-Method",
        "x-method-override",
        "x_http_method_override",
        "X-HTTP_Method-Override",
    ] {
        let header = [(name, "DELETE")];
        for guard in [&read_only, &methods] {
            let refusal = check_with(guard, "GET", "/api/v1/pods", &header).unwrap_err();
            assert_eq!(refusal.status, 403);
            assert!(refusal.message.contains("method"), "{refusal}");
        }
        for guard in [&loose, &disabled] {
            assert_eq!(check_with(guard, "GET", "/api/v1/pods", &header), Ok(()));
        }
    }
    let other = [
        ("x-http-method-overridden", "DELETE"),
        ("x-http-methods", "x"),
    ];
    for guard in [&read_only, &methods] {
        assert_eq!(check_with(guard, "GET", "/api/v1/pods", &other), Ok(()));
    }
}

#[test]
fn untrusted_content_is_known_in_every_spelling() {
    let guard = guard(|rules| rules.allow_exec = true);
    let capabilities = |method, target| {
        let request = super::request(method, target, &[]);
        let found = super::check_request(&guard, &request).unwrap();
        (found.untrusted, found.proxied)
    };
    for target in [
        "/api/v1/namespaces/x/services/s/proxy",
        "/api/v1/namespaces/x/services/s/proxy/",
        "/api/v1/namespaces/x/services/https:s:443/proxy/a/b?c",
        "/api/v1/namespaces/x/pods/p:80/proxy/a",
        "/api/v1/nodes/n/proxy/logs/x",
        "/api/v1/nodes/n/proxy/metrics",
        "/api/v1/nodes/n:9100/proxy/a",
        "/api/v1/proxy/namespaces/x/services/s/a",
        "/api/v1/proxy/nodes/n/a",
        "/api/v1/watch/namespaces/x/services/s/proxy/a",
        "/api/v1/namespaces//services/s/proxy/a",
        "/api/v1/services/s/proxy/a",
        "/api/v1/namespaces/x/services/s/pr%6Fxy/a",
        "/api/v1/namespaces/x/services/s%2Fproxy%2Fa",
        "//api/v1//namespaces/x/./services/s/proxy/a",
        "/apis/cluster.karmada.io/v1alpha1/clusters/c/proxy/x",
        "/k8s/clusters/c-1/api/v1/namespaces/x/services/s/proxy/a",
    ] {
        for method in ["GET", "POST", "HEAD"] {
            assert_eq!(
                capabilities(method, target),
                (true, true),
                "{method} {target}"
            );
        }
    }
    for target in [
        "/api/v1/namespaces/x/pods/p/log",
        "/api/v1/namespaces/x/pods/p/log/",
        "/api/v1/namespaces/x/pods/p/l%6fg?follow=1",
        "/apis/build.openshift.io/v1/namespaces/x/builds/b/log",
        "/apis/packages.operators.coreos.com/v1/namespaces/x/packagemanifests/p/icon",
        "/logs",
        "/logs/pods/x.log",
        "/%6Cogs/pods",
        "//logs/pods",
        "/v2/x/app/blobs/sha256:0",
    ] {
        assert_eq!(capabilities("GET", target), (true, false), "{target}");
    }
    for target in [
        "/",
        "/api/v1/pods",
        "/api/v1/namespaces/proxy/pods/log",
        "/api/v1/namespaces/x/services/proxy",
        "/api/v1/namespaces/x/configmaps/log",
        "/api/v1/namespaces/x/pods/p/exec",
        "/apis/apps/v1/namespaces/x/deployments/d/status",
        "/logsx",
        "/version?x=/logs",
        "/openapi/v2",
    ] {
        assert_eq!(capabilities("GET", target), (false, false), "{target}");
    }
}

#[test]
fn read_only_refuses_all_else_whatever_other_flags_allow() {
    for guard in [
        guard(|rules| rules.read_only = true),
        guard(|rules| (rules.read_only, rules.allow_exec) = (true, true)),
        guard(|rules| (rules.read_only, rules.disable_filter) = (true, true)),
        guard(|rules| (rules.read_only, rules.reject_paths) = (true, Some(Vec::new()))),
    ] {
        for wanted in [
            "POST /api/v1/namespaces/d/pods",
            "PUT /api/v1/namespaces/d/pods/p",
            "PATCH /api/v1/namespaces/d/pods/p",
            "DELETE /api/v1/namespaces/d/pods/p",
            "DELETE /api/v1/namespaces/d/pods",
            "OPTIONS /api/v1/namespaces/d/pods/p",
            "get /api/v1/namespaces/d/pods/p",
            "POST /logs",
            "POST /api/v1/namespaces/default/pods/web-0/exec",
            "GET /api/v1/namespaces/default/pods/web-0/exec",
            "POST /api/v1/namespaces/d/pods/p/portforward",
            "POST /api/v1/namespaces/d/serviceaccounts/s/token",
            "POST /api/v1/namespaces/d/services/s/proxy/",
            "POST /api/v1/watch/pods",
            "GET /api/v1/nodes/n/proxy/pods",
            "POST /apis/bookinfo.example/v1/namespaces/d/tokenreviews",
            "POST /apis/authentication.k8s.io/v1/tokenreviews/x",
            "DELETE /apis/authentication.k8s.io/v1/tokenreviews",
            "GET /api/v1/namespaces/d/pods/p/portforward",
            "GET /apis/subresources.kubevirt.io/v1/namespaces/d/virtualmachines/m/portforward/22/tcp",
            "GET /apis/subresources.kubevirt.io/v1/namespaces/d/virtualmachineinstances/m/vsock",
            "GET /apis/subresources.kubevirt.io/v1/namespaces/d/virtualmachineinstances/m/vnc",
        ] {
            let (method, target) = wanted.split_once(' ').unwrap();
            let checked = check(&guard, method, target);
            assert_eq!(status(&checked), 403, "{wanted}");
            assert!(
                checked.unwrap_err().message.contains("--read-only"),
                "{wanted}"
            );
        }
        for target in [
            EXEC,
            "/api/v1/namespaces/d/pods/p/portforward",
            "/api/v1/namespaces/d/pods/p/proxy/ws",
            "/api/v1/watch/namespaces/d/pods/p/portforward",
            "/api/v1/pods",
            "/api/v1/pods/p?watch=1",
            "/ws?watch=1",
        ] {
            let checked = check_with(&guard, "GET", target, &WEBSOCKET);
            assert_eq!(status(&checked), 403, "{target}");
        }
        let review = "/apis/authentication.k8s.io/v1/tokenreviews";
        assert_eq!(status(&check_with(&guard, "POST", review, &WEBSOCKET)), 403);
    }
}
