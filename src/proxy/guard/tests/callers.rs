//! Checks of who is calling: hosts, targets, framing, pages.

use super::{Caller, WEBSOCKET, check, check_with, guard, patterns, request, status};

#[test]
fn every_spelling_of_an_accepted_host_passes() {
    let guard = guard(|_| ());
    for host in [
        "localhost",
        "LOCALHOST:8001",
        "localhost:1",
        "127.0.0.1",
        "127.0.0.1:65535",
        "[::1]",
        "[::1]:8001",
        "[0:0:0:0:0:0:0:1]:8001",
    ] {
        assert_eq!(
            guard.check_origin(&request("GET", "/api", &[("host", host)])),
            Ok(Caller::Program),
            "{host}"
        );
    }
}

#[test]
fn other_hosts_are_4xx() {
    let guard = guard(|_| ());
    for (host, expected) in [
        ("evil.example", 403),
        ("127.1", 403),
        ("127.0.0.2", 403),
        ("127.000.000.001", 403),
        ("2130706433", 403),
        ("0.0.0.0:8001", 403),
        ("[::]:8001", 403),
        ("[::ffff:127.0.0.1]", 403),
        ("localhost.evil.example", 403),
        ("localhost.", 400),
        ("localhost.:8001", 400),
        ("user@localhost:8001", 400),
        ("localhost:8001@evil.example", 400),
        ("localhost:", 400),
        ("localhost:99999", 400),
        ("localhost:abc", 400),
        ("::1", 400),
        ("", 400),
    ] {
        let checked = guard.check_origin(&request("GET", "/api", &[("host", host)]));
        assert_eq!(status(&checked), expected, "{host}");
    }
    assert_eq!(
        status(&guard.check_origin(&request("GET", "/api", &[]))),
        400
    );
    let two = [("host", "localhost"), ("host", "localhost")];
    assert_eq!(
        status(&guard.check_origin(&request("GET", "/api", &two))),
        400
    );
}

#[test]
fn the_refusal_of_a_host_names_a_pattern_that_allows_it() {
    let refuse = request("GET", "/", &[("host", "Proxy.example:8001")]);
    let refusal = guard(|_| ()).check_origin(&refuse).unwrap_err();
    assert!(
        refusal
            .message
            .contains(r"--accept-hosts='^proxy\.example$'"),
        "{refusal}"
    );
    let wider = guard(|rules| rules.accept_hosts = patterns(r"^proxy\.example$"));
    assert_eq!(wider.check_origin(&refuse), Ok(Caller::Program));
}

#[test]
fn an_ipv6_pattern_matches_with_and_without_brackets() {
    for (pattern, expected) in [("^::1$", 200), (r"^\[::1\]$", 200), ("^::2$", 403)] {
        let guard = guard(|rules| rules.accept_hosts = patterns(pattern));
        let checked = guard.check_origin(&request("GET", "/", &[("host", "[::1]:8001")]));
        assert_eq!(status(&checked), expected, "{pattern}");
    }
}

#[test]
fn an_absolute_target_must_agree_with_the_host() {
    let guard = guard(|_| ());
    for (target, host, expected) in [
        ("http://localhost:8001/api", "localhost:8001", 200),
        ("http://LOCALHOST:8001/api", "localhost:8001", 200),
        ("http://localhost/api", "localhost:80", 200),
        ("https://localhost/api", "localhost:443", 200),
        ("http://localhost:8001", "localhost:8001", 200),
        ("http://localhost:8001/api", "127.0.0.1:8001", 400),
        ("http://localhost:8001/api", "localhost:8002", 400),
        ("http://localhost/api", "localhost:8001", 400),
        ("http://evil.example/api", "localhost:8001", 400),
        ("http://localhost:8001/api", "evil.example", 400),
        ("http://user@localhost:8001/api", "localhost:8001", 400),
        ("ftp://localhost:8001/api", "localhost:8001", 400),
        ("localhost:8001", "localhost:8001", 400),
        ("http://evil.example/api", "evil.example", 403),
    ] {
        let checked = guard.check_origin(&request("GET", target, &[("host", host)]));
        assert_eq!(status(&checked), expected, "{target} {host}");
    }
}

#[test]
fn ambiguous_framing_is_refused_with_disable_filter_too() {
    let guard = guard(|rules| rules.disable_filter = true);
    let length = ("content-length", "5");
    let both = [length, ("transfer-encoding", "chunked")];
    assert_eq!(
        check_with(&guard, "POST", "/api/v1/pods", &[length]),
        Ok(())
    );
    let refusal = check_with(&guard, "POST", "/api/v1/pods", &both).unwrap_err();
    assert_eq!((refusal.status.as_u16(), refusal.close), (400, true));
}

#[test]
fn connect_and_trace_are_never_served() {
    let guard = guard(|rules| rules.disable_filter = true);
    for (method, target) in [("CONNECT", "localhost:8001"), ("TRACE", "/api")] {
        let refusal = check(&guard, method, target).unwrap_err();
        assert_eq!(
            (refusal.status.as_u16(), refusal.close),
            (405, true),
            "{method}"
        );
    }
}

#[test]
fn a_foreign_page_is_403_by_every_method_and_upgrade() {
    let evil = ("origin", "https://evil.example");
    let navigates = ("sec-fetch-site", "cross-site");
    for guard in [
        guard(|_| ()),
        guard(|rules| rules.disable_filter = true),
        guard(|rules| rules.allow_origins = patterns("https://ui.example")),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            for header in [evil, navigates] {
                let checked = check_with(&guard, method, "/api/v1/pods", &[header]);
                assert_eq!(status(&checked), 403, "{method} {header:?}");
            }
            let own = [("origin", "http://localhost:8001")];
            assert_eq!(
                check_with(&guard, method, "/api/v1/pods", &own),
                Ok(()),
                "{method}"
            );
        }
        let upgrade = [WEBSOCKET[0], WEBSOCKET[1], evil];
        assert_eq!(
            status(&check_with(&guard, "GET", "/api/v1/pods?watch=1", &upgrade)),
            403
        );
    }
}

#[test]
fn an_allowed_origin_and_its_preflight_pass() {
    let guard = guard(|rules| rules.allow_origins = patterns("https://UI.example:443"));
    let origin = ("origin", "https://ui.example");
    let preflight = [origin, ("access-control-request-method", "PUT")];
    assert_eq!(
        check_with(&guard, "PUT", "/api/v1/pods/p", &[origin]),
        Ok(())
    );
    assert_eq!(
        check_with(&guard, "OPTIONS", "/api/v1/pods/p", &preflight),
        Ok(())
    );
    assert_eq!(guard.origins(), ["https://ui.example"]);
}

#[test]
fn a_rebound_name_is_403_although_origin_and_host_agree() {
    let guard = guard(|_| ());
    let rebound = [
        ("host", "evil.example:8001"),
        ("origin", "http://evil.example:8001"),
    ];
    assert_eq!(
        status(&guard.check_origin(&request("GET", "/api", &rebound))),
        403
    );
}

#[test]
fn beyond_loopback_names_an_unmarked_browser_is_403() {
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
    let powershell =
        "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.1";
    let powershell7 =
        "Mozilla/5.0 (Windows NT 10.0; Microsoft Windows 10.0.19045; en-US) PowerShell/7.4.0";
    let named =
        guard(|rules| rules.accept_hosts = patterns(r"^kg\.example$,localhost$,^127\.,^::1$"));
    let disabled = guard(|rules| rules.disable_filter = true);
    for (host, headers, expected) in [
        ("kg.example:8001", &[("user-agent", firefox)][..], 403),
        ("KG.example", &[("user-agent", "mozilla/4.0")], 403),
        ("kg.example", &[("referer", "https://evil.example/x")], 403),
        ("kg.example", &[("referer", "http://kg.example.evil/")], 403),
        (
            "kg.example",
            &[("referer", "http://kg.example@evil.example/")],
            403,
        ),
        ("kg.example", &[("referer", "about:blank")], 403),
        (
            "kg.example",
            &[("user-agent", "curl/8.0"), ("accept-language", "*")],
            403,
        ),
        (
            "kg.example",
            &[
                ("user-agent", powershell),
                ("referer", "http://evil.example/"),
            ],
            403,
        ),
        (
            "kg.example",
            &[("user-agent", "curl"), ("user-agent", firefox)],
            403,
        ),
        // Requests with Sec-Fetch headers or an Origin are checked by these.
        (
            "kg.example",
            &[("user-agent", firefox), ("sec-fetch-site", "same-origin")],
            200,
        ),
        (
            "kg.example",
            &[("user-agent", firefox), ("sec-fetch-site", "cross-site")],
            403,
        ),
        (
            "kg.example",
            &[("user-agent", firefox), ("origin", "http://kg.example")],
            200,
        ),
        (
            "kg.example",
            &[("user-agent", firefox), ("origin", "http://evil.example")],
            403,
        ),
        // Node's fetch sends only one of them, and is no browser.
        (
            "kg.example",
            &[
                ("user-agent", "node"),
                ("accept-language", "*"),
                ("sec-fetch-mode", "cors"),
            ],
            200,
        ),
        // Programs.
        ("kg.example", &[], 200),
        ("kg.example", &[("user-agent", "curl/8.0")], 200),
        (
            "kg.example",
            &[("user-agent", "kubectl/v1.37.1 (linux/amd64) kubernetes/x")],
            200,
        ),
        ("kg.example", &[("user-agent", "NotMozilla/5.0")], 200),
        ("kg.example", &[("user-agent", powershell)], 200),
        ("kg.example", &[("user-agent", powershell7)], 200),
        (
            "kg.example:8001",
            &[("referer", "http://kg.example:8001/api")],
            200,
        ),
        // Loopback names, to which today's browsers send Sec-Fetch headers.
        ("localhost:8001", &[("user-agent", firefox)], 200),
        ("kg.localhost:8001", &[("user-agent", firefox)], 200),
        ("127.0.0.1:8001", &[("user-agent", firefox)], 200),
        ("127.9.8.7:8001", &[("user-agent", firefox)], 200),
        ("[::1]:8001", &[("user-agent", firefox)], 200),
        ("notlocalhost", &[("user-agent", firefox)], 403),
        ("127.example", &[("user-agent", firefox)], 403),
    ] {
        for guard in [&named, &disabled] {
            for method in ["GET", "POST", "OPTIONS"] {
                let headers = [&[("host", host)], headers].concat();
                let checked = guard.check_origin(&request(method, "/api", &headers));
                assert_eq!(status(&checked), expected, "{method} {headers:?}");
            }
        }
    }
}

#[test]
fn hosts_beyond_loopback_names_are_known_at_the_start() {
    for (hosts, expected) in [
        (None, false),
        (Some("^localhost$"), false),
        (Some(r"^localhost$,^127\.0\.0\.1$,^\[::1\]$"), false),
        (Some(r"^kg\.example$"), true),
        (Some(r"^localhost$,^10\."), true),
        (Some(".*"), true),
        (Some(""), false),
    ] {
        let guard = guard(|rules| {
            if let Some(hosts) = hosts {
                rules.accept_hosts = patterns(hosts);
            }
        });
        assert_eq!(guard.accepts_beyond_loopback(), expected, "{hosts:?}");
    }
    assert!(guard(|rules| rules.disable_filter = true).accepts_beyond_loopback());
}

#[test]
fn a_service_workers_script_is_403_on_every_path() {
    let app = "/api/v1/namespaces/x/services/s/proxy/sw.js";
    let log = "/api/v1/namespaces/x/pods/p/log";
    let script = [("service-worker", "script")];
    let dest = [
        ("sec-fetch-dest", "serviceworker"),
        ("sec-fetch-site", "same-origin"),
    ];
    let page = [("sec-fetch-dest", "document"), ("sec-fetch-site", "none")];
    let strict = guard(|_| ());
    let trusting = guard(|rules| rules.trust_proxied_pages = true);
    let aggregated = "/apis/custom.example/v1/namespaces/x/widgets/sw.js";
    for target in [app, log, aggregated, "/api/v1/pods", "/sw.js"] {
        for headers in [&script[..], &dest] {
            let refusal = check_with(&strict, "GET", target, headers).unwrap_err();
            assert_eq!(refusal.status, 403);
            assert!(
                refusal.message.contains("--trust-proxied-pages"),
                "{refusal}"
            );
            assert_eq!(check_with(&trusting, "GET", target, headers), Ok(()));
        }
        assert_eq!(check_with(&strict, "GET", target, &page), Ok(()));
    }
}
