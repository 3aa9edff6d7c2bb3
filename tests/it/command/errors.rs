//! A wrong command line or a wrong file.

use super::{NOWHERE, run, run_with_server, start_with_server};
use crate::support::Refused;

/// Command lines that are wrong whatever files and servers hold, and the flag that the error names.
const WRONG_FLAGS: &[(&[&str], &str)] = &[
    (&["--port", "x"], "--port"),
    (&["--port", "65536"], "--port"),
    (&["--port=-1"], "--port"),
    (&["--port="], "--port"),
    (&["--address", "example.com"], "--address"),
    (&["--address", "127.0.0.1:8001"], "--address"),
    (&["--address", "0.0.0.0"], "--unsafe-listen"),
    (
        &[
            "--address",
            "::",
            "--accept-hosts",
            ".*",
            "--disable-filter",
        ],
        "--unsafe-listen",
    ),
    (&["--api-prefix", "/a%zz"], "--api-prefix"),
    (&["--www-prefix=/a?b"], "--www-prefix"),
    (&["--reject-paths", "["], "--reject-paths"),
    (&["--accept-paths", "("], "--accept-paths"),
    (&["--accept-hosts", "*"], "--accept-hosts"),
    (&["--reject-methods", "a{2,1}"], "--reject-methods"),
    (&["--drain-timeout", "soon"], "--drain-timeout"),
    (&["--drain-timeout=-1s"], "--drain-timeout"),
    (&["--upstream-ping-timeout", "0"], "--upstream-ping-timeout"),
    (&["--upstream-max-age", "old"], "--upstream-max-age"),
    (&["--disable-filter", "--keepalive=-1s"], "--keepalive"),
    (&["--disable-filter=maybe"], "--disable-filter"),
    (&["--read-only", "true"], "--read-only=true"),
    (
        &["--append-server-path", "no"],
        "--append-server-path=false",
    ),
    (&["--client-credentials", "eat"], "--client-credentials"),
    (&["--allow-origin", "not an origin"], "--allow-origin"),
    (&["--allow-origin", "*"], "--allow-origin"),
    (&["--server", "ftp://x"], "--server"),
    (&["--server", "https://u:hunter2@x"], "--server"),
    (&["--proxy-url", "ftp://u:hunter2@x"], "--proxy-url"),
    (&["--as-user-extra", "nokey"], "--as-user-extra"),
    (&["--as-group", "g"], "--as"),
    (&["--as-uid", "u"], "--as"),
    (&["--token", "a", "--username", "b"], "--token"),
    (&["--unix-socket", "/tmp/s", "--port", "8002"], "--port"),
    (&["--context", "a", "--follow-current-context"], "--context"),
    (&["--ibm-endpoint", "public"], "--ibm-cluster"),
    (
        &["--ibm-cluster", "c", "--ibm-endpoint", "moon"],
        "--ibm-endpoint",
    ),
    (
        &["--ibm-cluster", "c", "--token", "hunter2"],
        "--ibm-cluster",
    ),
    (&["--service-account", "robot"], "--service-account"),
    (
        &["--openshift-username-file", "u"],
        "--openshift-password-file",
    ),
    (&["-v", "x"], "--v"),
    (&["--no-such-flag"], "--no-such-flag"),
    (&["port", "8001"], "--port 8001"),
];

/// The same for other commands.
const WRONG_COMMANDS: &[(&[&str], &str)] = &[
    (&["whoami", "-o", "xml"], "--output"),
    (&["whoami", "-t", "-o", "json"], "--output"),
    (&["token", "--nonsense"], "--nonsense"),
    (
        &[
            "token",
            "--as-group",
            "g",
            "--server",
            "https://127.0.0.1:1",
        ],
        "--as",
    ),
    (&["contexts", "extra"], "extra"),
    (&["logout", "--server", "ftp://x"], "--server"),
    (&["registry"], "Usage:"),
    (&["registry", "add"], "<HOST>"),
    (&["registry", "add", "r.example"], "--context"),
    (
        &["registry", "add", "u@r.example", "--context", "a"],
        "u@r.example",
    ),
    (&["login"], "Usage:"),
    (&["login", "openshift", "--web", "-u", "a"], "--web"),
    (
        &["login", "openshift", "https://a", "--server", "https://b"],
        "--server",
    ),
    (&["login", "ibm", "--password-stdin"], "--password-stdin"),
    (&["credential"], "Usage:"),
    (&["docker-credential", "give"], "<VERB>"),
    (&["completions", "tcsh"], "<SHELL>"),
    (&["version", "extra"], "extra"),
    (&["no-such-command"], "no-such-command"),
    (&["get", "pods"], "kubectl"),
];

#[test]
fn a_wrong_command_line_names_its_flag_and_exits_with_2() {
    let check = |args: &[&str], ended: Refused, flag: &str| {
        assert_eq!(ended.code, Some(2), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(flag), "{args:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{args:?}");
        assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    };
    for (args, flag) in WRONG_FLAGS {
        let chooses = ["--server", "--context", "--ibm-cluster"].contains(&args[0]);
        let base = if chooses { &[][..] } else { &NOWHERE };
        let args = [base, args].concat();
        check(&args, run(&args), flag);
    }
    for (args, flag) in WRONG_COMMANDS {
        check(args, run(args), flag);
    }
    let _control = start_with_server(&["--reject-paths", "[a]", "--drain-timeout", "1m"]);
}

#[test]
fn an_error_in_files_exits_with_1() {
    for (args, flag) in [
        (
            &[
                "--client-certificate",
                "/nonexistent/c",
                "--client-key",
                "/nonexistent/k",
            ][..],
            "--client-certificate",
        ),
        (
            &["--certificate-authority", "/nonexistent/c"],
            "--certificate-authority",
        ),
        (&["--context", "nope"], "--context"),
        (&["--token", "hunter2\nx"], "token"),
        (&["--kubeconfig", "/nonexistent/c"], "/nonexistent/c"),
        (&["--www", "/nonexistent/c"], "--www"),
        (&["--unix-socket", "/nonexistent/c"], "/nonexistent/c"),
    ] {
        let ended = run_with_server(args);
        assert_eq!(ended.code, Some(1), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(flag), "{args:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    }
}
