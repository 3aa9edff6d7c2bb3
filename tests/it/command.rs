//! The command line: what `kubectl proxy` takes is taken, and what cannot work is said.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::{SocketAddr, TcpListener},
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::tempdir;

use crate::support::{
    Connection, Kubegate, PATIENCE, Refused, Upstream, cert, exchange, exchange_unix, get, status,
};

/// An API server that nobody speaks to here.
const NOWHERE: [&str; 2] = ["--server", "https://127.0.0.1:1"];

fn run(args: &[&str]) -> Refused {
    Kubegate::refused(Kubegate::command(args))
}

/// Runs it as it must not start: with an API server, and on a port that is free.
fn run_beside(args: &[&str]) -> Refused {
    let mut command = Kubegate::command(NOWHERE);
    command.args(args);
    Kubegate::refused(command)
}

fn start_beside(args: &[&str]) -> Kubegate {
    Kubegate::start(NOWHERE.iter().chain(args))
}

fn free_port() -> u16 {
    let probe = TcpListener::bind("127.0.0.1:0").unwrap();
    probe.local_addr().unwrap().port()
}

// What is printed.

#[tokio::test]
async fn stdout_says_where_it_serves_and_nothing_else() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::start(["proxy", "--server", &upstream.url()]);
    let address: SocketAddr = kubegate.address.parse().unwrap();
    assert!(address.ip().is_loopback() && address.is_ipv4());
    assert_ne!(address.port(), 0);
    assert_eq!(upstream.connections(), 0, "asked before anybody asked us");
    assert_eq!(status(&get(&kubegate.address, "/version").await), 200);
    kubegate.signal("TERM");
    let ended = kubegate.ended();
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.stdout, format!("Starting to serve on {address}\n"));
    assert!(ended.stderr.contains("drain"), "{}", ended.stderr);
}

#[test]
fn the_default_port_is_8001() {
    for args in [&[][..], &["proxy"]] {
        let mut command = Kubegate::command(NOWHERE);
        command
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let mut said = String::new();
        BufReader::new(stdout).read_line(&mut said).unwrap();
        // Whether the port is free is up to this machine; both answers name it.
        if said.is_empty() {
            stderr.read_to_string(&mut said).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let said_so = said == "Starting to serve on 127.0.0.1:8001\n"
            || said.contains("cannot listen on 127.0.0.1:8001");
        assert!(said_so, "{args:?}: {said}");
    }
}

/// What a command line prints on standard output in a terminal of so many columns.
fn printed(columns: u16, args: &[&str]) -> String {
    let mut command = Kubegate::command(args);
    command.env("COLUMNS", columns.to_string());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn version_and_help_are_printed_on_stdout() {
    let version = concat!("kubegate ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(printed(80, &["--version"]), version);
    for (args, parts) in [
        (
            &["--help"][..],
            &["--context <NAME>", "[default: 8001]"][..],
        ),
        (&["help"], &["--context <NAME>"]),
        (
            &["proxy", "--help"],
            &["curl http://", "--reject-paths", "--upstream-max-age"],
        ),
        (&["help", "proxy"], &["--upstream-max-age"]),
        (&["help", "login", "openshift"], &["--web"]),
    ] {
        let help = printed(80, args);
        for part in [&["Examples:", "Exit codes: 0 "], parts].concat() {
            assert!(help.contains(part), "{args:?}: no {part:?} in {help}");
        }
    }
}

#[test]
fn the_help_of_the_program_fits_a_screen() {
    let (long, short) = (printed(80, &["--help"]), printed(80, &["-h"]));
    let lines = |help: &str| help.lines().count();
    assert!(
        (24..=40).contains(&lines(&long)),
        "{} lines: {long}",
        lines(&long)
    );
    assert!(
        lines(&short) < lines(&long),
        "{} lines: {short}",
        lines(&short)
    );
    for help in [&long, &short] {
        assert!(
            help.lines().all(|line| line.chars().count() <= 80),
            "{help}"
        );
        for part in [
            "`kubegate options`",
            "`kubegate proxy --help`",
            "Usage: kubegate",
        ] {
            assert!(help.contains(part), "no {part:?} in {help}");
        }
    }
    assert!(!short.contains("Examples:"), "{short}");
    // In a narrow one it is longer, and all there.
    assert!(printed(20, &["--help"]).contains("--context"));
}

#[test]
fn the_flags_for_cluster_and_user_are_listed_once() {
    let options = printed(80, &["options"]);
    for line in options.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for flag in GLOBAL
        .iter()
        .map(|words| words[0].split('=').next().unwrap())
    {
        let is_there = options
            .split([' ', ',', '[', '\n'])
            .any(|word| word == flag);
        assert!(is_there || flag.starts_with("-v"), "{flag}: {options}");
    }
    for args in [
        "proxy",
        "whoami",
        "login oidc",
        "registry add",
        "demo",
        "credential ibm",
    ] {
        if args == "demo" && cfg!(not(feature = "demo")) {
            continue;
        }
        for help in ["--help", "-h"] {
            let words: Vec<&str> = args.split(' ').chain([help]).collect();
            let help = printed(80, &words);
            assert!(!help.contains("--as-user-extra"), "{args}: {help}");
            assert_eq!(help.contains("options`"), args != "demo", "{args}: {help}");
        }
    }
    // What a command has itself it shows.
    assert!(printed(80, &["login", "ibm", "--help"]).contains("--cluster <NAME>"));
}

#[test]
fn the_version_is_printed_as_kubectl_prints_its_own() {
    let version = env!("CARGO_PKG_VERSION");
    let said = format!("Client Version: v{version}\n");
    assert_eq!(printed(80, &["version"]), said);
    assert_eq!(printed(80, &["version", "--client"]), said);
    let json: Value = serde_json::from_str(&printed(80, &["version", "-o", "json"])).unwrap();
    let client = &json["clientVersion"];
    assert_eq!(client["gitVersion"], format!("v{version}"));
    assert_eq!(client["major"], env!("CARGO_PKG_VERSION_MAJOR"));
    assert!(
        client["platform"].as_str().unwrap().starts_with("linux/"),
        "{json}"
    );
    let yaml = printed(80, &["version", "--output=yaml"]);
    assert!(
        yaml.contains(&format!("\n  gitVersion: v{version}\n")),
        "{yaml}"
    );
    assert_eq!(run(&["version", "-o", "xml"]).code, Some(2));
}

#[test]
fn the_help_of_every_command_for_humans_has_examples_and_exit_codes() {
    for command in [
        "",
        "proxy",
        "demo",
        "login",
        "login openshift",
        "login ibm",
        "login oidc",
        "logout",
        "whoami",
        "token",
        "contexts",
        "registry",
        "registry add",
        "registry list",
        "registry remove",
        "docker-credential",
        "completions",
        "options",
        "version",
    ] {
        let words = command.split_whitespace().chain(["--help"]);
        let help = Kubegate::command(words).output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        for part in ["Usage: kubegate", "Examples:", "Exit codes: 0 ", " 2 "] {
            let help = help.replace('\n', " ");
            assert!(help.contains(part), "{command:?}: no {part:?} in {help}");
        }
    }
}

#[test]
fn the_demo_refuses_flags_that_choose_another_user() {
    for flags in [
        &["--service-account", "default/app"][..],
        &["--service-account-secret", "default/app"],
        &[
            "--openshift-username-file",
            "u",
            "--openshift-password-file",
            "p",
        ],
    ] {
        let ended = run(&[&["demo", "--port", "0"], flags].concat());
        assert_eq!(ended.code, Some(2), "{flags:?}");
        let said = format!("leave out {}", flags[0]);
        assert!(ended.stderr.contains(&said), "{flags:?}: {}", ended.stderr);
    }
}

#[test]
fn every_shell_gets_its_completions() {
    for (shell, sign) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef kubegate"),
        ("fish", "complete --command kubegate"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let made = Kubegate::command(["completions", shell]).output().unwrap();
        assert!(made.status.success(), "{shell}");
        let script = String::from_utf8(made.stdout).unwrap();
        assert!(script.contains(sign), "{shell}: {script}");
        if shell == "bash" {
            assert!(parses_in_bash(&script));
        }
        if shell == "powershell" {
            assert!(script.contains("reject-paths"), "{script}");
        }
    }
    assert!(!parses_in_bash("if"), "bash -n finds no fault at all");
    assert_eq!(run(&["completions", "tcsh"]).code, Some(2));
}

fn parses_in_bash(script: &str) -> bool {
    let folder = tempdir().unwrap();
    let path = folder.path().join("script");
    fs::write(&path, script).unwrap();
    let mut bash = std::process::Command::new("bash");
    let checked = bash.arg("-n").arg(path).stderr(Stdio::null()).status();
    checked.unwrap().success()
}

// Flags.

/// kubectl's global flags, with a value that alone cannot make it start.
const GLOBAL: &[&[&str]] = &[
    &["--kubeconfig", "/nonexistent/config"],
    &["--context", "a"],
    &["--cluster", "a"],
    &["--user", "a"],
    &["--namespace", "a"],
    &["-n", "a"],
    &["--server", "http://localhost:8001"],
    &["-s", "http://localhost:8001"],
    &["--token", "a"],
    &["--token", "-a"],
    &["--username", "a"],
    &["--password", "a"],
    &["--password", "-a"],
    &["--as", "a"],
    &["--as-group", "a", "--as-group", "b"],
    &["--as-uid", "a"],
    &["--as-user-extra", "a=b", "--as-user-extra", "a=c"],
    &["--certificate-authority", "/a"],
    &["--client-certificate", "/a"],
    &["--client-key", "/a"],
    &["--insecure-skip-tls-verify"],
    &["--insecure-skip-tls-verify=false"],
    &["--tls-server-name", "a"],
    &["--request-timeout", "30s"],
    &["--proxy-url", "http://a"],
    &["--disable-compression"],
    &["--disable-compression=true"],
    &["--cache-dir", "/a"],
    &["--kuberc", "/a"],
    &["--match-server-version"],
    &["--match-server-version=true"],
    &["--warnings-as-errors"],
    &["--warnings-as-errors=false"],
    &["--v", "2"],
    &["-v", "2"],
    &["-v2"],
    &["-v=2"],
    &["--vmodule", "a=2"],
    &["--log-flush-frequency", "5s"],
    &["--profile", "none"],
    &["--profile-output", "profile.pprof"],
];

/// The flags of `kubectl proxy` itself.
const PROXY: &[&[&str]] = &[
    &["--port", "0"],
    &["-p", "0"],
    &["-p0"],
    &["-p=0"],
    &["--address", "127.0.0.1"],
    &["--unix-socket", "/nonexistent/socket"],
    &["-u", "/nonexistent/socket"],
    &["--www", "/"],
    &["-w", "/"],
    &["--www-prefix", "/a/"],
    &["-P", "/a/"],
    &["--api-prefix", "/a"],
    &["--accept-hosts", r"^localhost$,^127\.0\.0\.1$,^\[::1\]$"],
    &["--accept-paths", "^.*"],
    &[
        "--reject-paths",
        "^/api/.*/pods/.*/exec,^/api/.*/pods/.*/attach",
    ],
    &["--reject-methods", "^$"],
    &["--disable-filter"],
    &["--disable-filter=false"],
    &["--keepalive", "0"],
    &["--keepalive", "30s"],
    &["--append-server-path"],
    &["--append-server-path=false"],
];

/// 1 where all flags were understood and there was no API server to be found, 2 where not.
fn understood(args: &[&str]) -> bool {
    let ended = run(args);
    match ended.code {
        Some(1) => true,
        Some(2) => false,
        _ => panic!("{args:?}: {ended:?}"),
    }
}

#[test]
fn every_global_flag_of_kubectl_stands_before_or_after_the_command() {
    for flag in GLOBAL {
        assert!(understood(flag), "{flag:?}");
        assert!(understood(&[flag, &["proxy"][..]].concat()), "{flag:?}");
        assert!(understood(&[&["proxy"][..], flag].concat()), "{flag:?}");
    }
    assert!(!understood(&["--no-such-flag"]));
    assert!(!understood(&["proxy", "--no-such-flag"]));
}

#[test]
fn every_flag_of_kubectl_proxy_is_taken_and_only_after_the_command() {
    for flag in PROXY {
        assert!(understood(flag), "{flag:?}");
        assert!(understood(&[&["proxy"][..], flag].concat()), "{flag:?}");
        let before = run(&[flag, &["proxy"][..]].concat());
        assert_eq!(before.code, Some(2), "{flag:?}");
        assert!(before.stderr.contains("after the command"), "{before:?}");
    }
}

#[tokio::test]
async fn of_a_flag_given_twice_the_last_stands() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::start([
        "--server",
        "http://127.0.0.1:1",
        "--server",
        &upstream.url(),
        "--port",
        "1",
    ]);
    assert_eq!(status(&get(&kubegate.address, "/").await), 200);
    assert_ne!(kubegate.address, "127.0.0.1:1");
}

#[tokio::test]
async fn an_empty_value_counts_as_none() {
    let folder = tempdir().unwrap();
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let config = folder.path().join("config");
    let text = format!(
        "current-context: c\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: '{}', certificate-authority: '{}'}}}}]\n\
         users: [{{name: u, user: {{token: sesame, as: jane}}}}]\n",
        upstream.url(),
        cert("ca.pem").display(),
    );
    fs::write(&config, text).unwrap();
    let empty = [
        "--kubeconfig",
        "--context",
        "--cluster",
        "--user",
        "--namespace",
        "--server",
        "--token",
        "--username",
        "--password",
        "--as",
        "--as-group",
        "--as-uid",
        "--certificate-authority",
        "--client-certificate",
        "--client-key",
        "--tls-server-name",
        "--proxy-url",
        "--cache-dir",
    ];
    let mut args: Vec<String> = empty.iter().map(|flag| format!("{flag}=")).collect();
    args.extend(["proxy", "--www=", "--unix-socket="].map(str::to_owned));
    let mut command = Kubegate::command(args);
    command.args(["--port", "0"]).env("KUBECONFIG", &config);
    let kubegate = Kubegate::spawn(command);
    let answer = get(&kubegate.address, "/").await;
    for header in ["authorization: Bearer sesame", "impersonate-user: jane"] {
        let lower = answer.replace("Impersonate-User", "impersonate-user");
        assert!(lower.contains(header), "{answer}");
    }
}

#[test]
fn flags_without_a_meaning_here_are_named_when_asked() {
    let args = ["--cache-dir", "/a", "--profile=none"];
    let kubegate = start_beside(&[&args[..], &["-v", "1"]].concat());
    kubegate.signal("TERM");
    let (_, log) = kubegate.wait();
    assert!(log.contains("--cache-dir --profile"), "{log}");

    let kubegate = start_beside(&[&args[..], &["-v", "0"]].concat());
    kubegate.signal("TERM");
    let (_, log) = kubegate.wait();
    assert!(!log.contains("--cache-dir"), "{log}");
}

/// Command lines that are wrong whatever files and servers say, and the flag that is told.
const BAD: &[(&[&str], &str)] = &[
    (&["--port", "x"], "--port"),
    (&["--port", "65536"], "--port"),
    (&["--port=-1"], "--port"),
    (&["--port="], "--port"),
    (&["--address", "example.com"], "--address"),
    (&["--address", "127.0.0.1:8001"], "--address"),
    (&["--address", "0.0.0.0"], "--accept-hosts"),
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

/// The same of other commands.
const BAD_COMMANDS: &[(&[&str], &str)] = &[
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
fn a_wrong_command_line_is_told_by_its_flag_and_ends_with_2() {
    let told = |args: &[&str], ended: Refused, flag: &str| {
        assert_eq!(ended.code, Some(2), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(flag), "{args:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{args:?}");
        assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    };
    for (args, flag) in BAD {
        let chooses = ["--server", "--context", "--ibm-cluster"].contains(&args[0]);
        let base = if chooses { &[][..] } else { &NOWHERE };
        let args = [base, args].concat();
        told(&args, run(&args), flag);
    }
    for (args, flag) in BAD_COMMANDS {
        told(args, run(args), flag);
    }
    let _control = start_beside(&["--reject-paths", "[a]", "--drain-timeout", "1m"]);
}

#[test]
fn what_files_do_not_hold_ends_with_1() {
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
        let ended = run_beside(args);
        assert_eq!(ended.code, Some(1), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(flag), "{args:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    }
}

// Where it listens.

#[test]
fn a_taken_port_is_an_error_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let ended = run_beside(&["-p", &address.port().to_string()]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert!(ended.stderr.contains(&address.to_string()), "{ended:?}");
    assert!(ended.stderr.contains("--port"), "{ended:?}");
}

#[test]
fn beyond_loopback_it_starts_only_with_hosts_named() {
    let ended = run_beside(&["--address", "0.0.0.0", "--port", "0"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    for part in ["--accept-hosts", "0.0.0.0", "credential"] {
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
    let kubegate = start_beside(&["--address", "0.0.0.0", "--accept-hosts", "^me$"]);
    assert!(kubegate.address.starts_with("0.0.0.0:"));
    kubegate.signal("TERM");
    let (_, log) = kubegate.wait();
    assert!(log.contains("WARN") && log.contains("beyond"), "{log}");
    assert!(!log.contains("rebinding"), "{log}");

    let kubegate = start_beside(&["--address", "0.0.0.0", "--accept-hosts", ".*"]);
    kubegate.signal("TERM");
    assert!(kubegate.wait().1.contains("rebinding"));

    let kubegate = start_beside(&["--address", "localhost"]);
    kubegate.signal("TERM");
    assert!(!kubegate.wait().1.contains("WARN"));
}

#[test]
fn a_server_that_is_our_own_listener_is_refused() {
    let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
    if !has_ipv6 {
        eprintln!("NOT TESTED: this machine has no IPv6 loopback");
    }
    let wide = ["--accept-hosts", "^me$", "--address"];
    for (server, extra) in [
        ("http://127.0.0.1", &[][..]),
        ("https://localhost", &[]),
        ("127.0.0.1", &[]),
        ("http://0.0.0.0", &[]),
        ("http://[::ffff:127.0.0.1]", &[]),
        ("http://127.0.0.1", &[&wide[..], &["0.0.0.0"]].concat()),
        ("http://127.0.0.9", &[&wide[..], &["0.0.0.0"]].concat()),
        ("http://0.0.0.0", &[&wide[..], &["0.0.0.0"]].concat()),
        ("http://[::1]", &["--address", "::1"]),
        ("http://[::1]", &[&wide[..], &["::"]].concat()),
    ] {
        if server.contains("::1") && !has_ipv6 {
            continue;
        }
        let port = free_port();
        let (server, port) = (format!("{server}:{port}"), port.to_string());
        let args = [&["--server", &server, "--port", &port], extra].concat();
        let ended = run(&args);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(1), ""),
            "{args:?}"
        );
        assert!(ended.stderr.contains("own listener"), "{args:?}: {ended:?}");
    }
    // The same host on another port is somebody else.
    let _control = Kubegate::start(["--server", &format!("http://127.0.0.1:{}", free_port())]);
}

#[tokio::test]
async fn a_unix_socket_is_ours_alone_and_goes_when_we_go() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("kube.sock");
    // One that another process left behind.
    drop(UnixListener::bind(&path).unwrap());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    let upstream = Upstream::plain(Connection::echo).await;
    let mut command = Kubegate::command(["--server", &upstream.url(), "-u"]);
    command.arg(&path);
    let kubegate = Kubegate::spawn(command);
    assert_eq!(kubegate.address, path.to_str().unwrap());
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");

    let request =
        |host: &str| format!("GET /a HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = exchange_unix(&path, request("localhost")).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(
        !answer.to_lowercase().contains("x-forwarded-for"),
        "{answer}"
    );
    let answer = exchange_unix(&path, request("evil.example")).await;
    assert_eq!(status(&answer), 403, "{answer}");

    kubegate.signal("TERM");
    let ended = kubegate.ended();
    assert_eq!(ended.code, Some(0));
    assert_eq!(
        ended.stdout,
        format!("Starting to serve on {}\n", path.display())
    );
    assert!(!path.exists());
}

#[test]
fn a_unix_socket_takes_no_other_files_place() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("precious");
    fs::write(&path, "data").unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for path in [&path, &link, &folder.path().to_owned()] {
        let ended = run_beside(&["--unix-socket", path.to_str().unwrap()]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
        assert!(ended.stderr.contains(path.to_str().unwrap()), "{ended:?}");
        assert!(ended.stderr.contains("--unix-socket"), "{ended:?}");
    }
    assert_eq!(fs::read_to_string(&link).unwrap(), "data");
}

#[tokio::test]
async fn the_socket_of_a_process_that_serves_is_not_taken() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("kube.sock");
    let at = path.to_str().unwrap();
    let request = "GET /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let upstream = Upstream::plain(Connection::echo).await;
    let first = Kubegate::before(&upstream, &["--unix-socket", at]);
    let refused = run_beside(&["--unix-socket", at]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    for part in ["--unix-socket", at, "another process serves there"] {
        assert!(refused.stderr.contains(part), "{part}: {refused:?}");
    }
    assert_eq!(status(&exchange_unix(&path, request).await), 200);
    // What crashed leaves a socket that nobody serves.
    first.signal("KILL");
    assert_eq!(first.wait().0, None);
    assert!(path.exists());
    let second = Kubegate::before(&upstream, &["--unix-socket", at]);
    assert_eq!(status(&exchange_unix(&path, request).await), 200);
    // Who lost its place to another removes nothing at its end.
    fs::remove_file(&path).unwrap();
    let third = Kubegate::before(&upstream, &["--unix-socket", at]);
    second.signal("TERM");
    assert_eq!(second.wait().0, Some(0));
    assert_eq!(status(&exchange_unix(&path, request).await), 200);
    third.signal("TERM");
    assert_eq!(third.wait().0, Some(0));
    assert!(!path.exists());
    // Other programs' sockets, of either kind.
    let _live = UnixListener::bind(&path).unwrap();
    let datagrams = folder.path().join("datagrams");
    let _other = std::os::unix::net::UnixDatagram::bind(&datagrams).unwrap();
    for path in [&path, &datagrams] {
        let refused = run_beside(&["--unix-socket", path.to_str().unwrap()]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(
            refused.stderr.contains("choose another path"),
            "{refused:?}"
        );
        assert!(path.exists());
    }
}

#[tokio::test]
async fn of_several_that_begin_at_once_at_one_socket_one_serves() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("kube.sock");
    drop(UnixListener::bind(&path).unwrap());
    let start = || {
        let mut command = Kubegate::command(["--server", "http://127.0.0.1:1", "-u"]);
        command
            .arg(&path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command.spawn().unwrap()
    };
    let mut started: Vec<_> = (0..8).map(|_| start()).collect();
    // All but one end by themselves.
    let until = Instant::now() + PATIENCE;
    loop {
        let running = |child: &mut std::process::Child| child.try_wait().unwrap().is_none();
        let left = started
            .iter_mut()
            .filter_map(|child| running(child).then_some(()))
            .count();
        if left == 1 {
            break;
        }
        assert!(left > 1 && Instant::now() < until, "{left} of them run");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let request = "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    let answer = exchange_unix(&path, request).await;
    for mut child in started {
        let _ = child.kill();
        let _ = child.wait();
    }
    assert_eq!(status(&answer), 403, "{answer}");
}

#[test]
fn a_unix_socket_and_a_port_exclude_each_other() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("socket");
    let ended = run_beside(&["-u", path.to_str().unwrap(), "-p", "8002"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    for flag in ["--unix-socket", "--port"] {
        assert!(ended.stderr.contains(flag), "{ended:?}");
    }
    assert!(!path.exists());
}

// Nothing to go by.

#[test]
fn with_nothing_to_go_by_it_says_so_in_one_sentence() {
    let folder = tempdir().unwrap();
    let home = folder.path().join(".kube/config");
    let mut command = Kubegate::command(["--port", "0"]);
    command.env("HOME", folder.path());
    let ended = Kubegate::refused(command);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    for part in [home.to_str().unwrap(), "service account", "--server"] {
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
    assert_eq!(
        ended.stderr.contains("`kubegate demo`"),
        cfg!(feature = "demo"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("8080"), "{}", ended.stderr);
}

#[test]
fn a_name_that_no_kubeconfig_holds_is_told_in_one_clear_sentence() {
    for kind in ["context", "cluster", "user"] {
        let ended = run_beside(&["--port", "0", &format!("--{kind}"), "nope"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{kind}");
        let said = format!("{kind} \"nope\", named by --{kind}, does not exist: there is no kube");
        assert!(ended.stderr.contains(&said), "{}", ended.stderr);
    }
}

#[cfg(feature = "demo")]
#[test]
fn the_demo_takes_no_other_cluster_or_user() {
    for flags in [
        &["--context", "prod"][..],
        &["--as=jane"],
        &["--server", "https://a"],
    ] {
        for args in [[&["demo"], flags].concat(), [flags, &["demo"]].concat()] {
            let ended = run(&[&args[..], &["--port=0"]].concat());
            assert_eq!(
                (ended.code, ended.stdout.as_str()),
                (Some(2), ""),
                "{args:?}"
            );
            let flag = flags[0].split('=').next().unwrap().trim_start_matches('-');
            assert!(ended.stderr.contains("of its own"), "{}", ended.stderr);
            assert!(
                ended.stderr.contains(&format!("--{flag}")),
                "{}",
                ended.stderr
            );
        }
    }
    let _control = Kubegate::start(["-v", "1", "--cache-dir=/a", "demo"]);
}

#[test]
fn an_empty_kubeconfig_leads_to_no_server_of_its_own() {
    let folder = tempdir().unwrap();
    let config = folder.path().join("config");
    for text in ["", "{}", "apiVersion: v1\nkind: Config\n", "clusters: []\n"] {
        fs::write(&config, text).unwrap();
        let mut by_env = Kubegate::command(["--port", "0"]);
        by_env.env("KUBECONFIG", &config);
        let mut by_flag = Kubegate::command(["--port", "0", "--kubeconfig"]);
        by_flag.arg(&config);
        for command in [by_env, by_flag] {
            let ended = Kubegate::refused(command);
            assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{text}");
            assert!(ended.stderr.contains(config.to_str().unwrap()), "{ended:?}");
            assert!(!ended.stderr.contains("choose one"), "{ended:?}");
            assert!(ended.stderr.contains("--server"), "{ended:?}");
        }
    }
}

// Static files.

fn site(folder: &Path) {
    fs::create_dir_all(folder.join("www/nested")).unwrap();
    for (name, text) in [
        ("secret", "out of reach"),
        ("www/index.html", "<p>front</p>"),
        ("www/a b.txt", "spaced"),
        ("www/nested/index.html", "<p>nested</p>"),
        ("www/nested/deep.js", "deep"),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
}

#[tokio::test]
async fn static_files_are_served_beside_the_api() {
    let folder = tempdir().unwrap();
    site(folder.path());
    let www = folder.path().join("www");
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::start(["-s", &upstream.url(), "-w", www.to_str().unwrap()]);
    for (path, text) in [
        ("/static/", "<p>front</p>"),
        ("/static/index.html", "<p>front</p>"),
        ("/static/a%20b.txt", "spaced"),
        ("/static/nested/", "<p>nested</p>"),
        ("/static/nested/deep.js?v=1", "deep"),
        ("/version", "GET /version HTTP/1.1"),
        ("/statics", "GET /statics HTTP/1.1"),
    ] {
        let answer = get(&kubegate.address, path).await;
        assert_eq!(status(&answer), 200, "{path}: {answer}");
        assert!(answer.contains(text), "{path}: {answer}");
    }
    assert_eq!(status(&get(&kubegate.address, "/static/no.txt").await), 404);
    // A folder without its slash leads to the folder, under the prefix.
    for (path, to) in [
        ("/static/nested", "/static/nested/"),
        ("/static", "/static/"),
        ("/static?a=b", "/static/?a=b"),
    ] {
        let answer = get(&kubegate.address, path).await;
        assert!(matches!(status(&answer), 301 | 307), "{answer}");
        let location = answer.split("\r\nlocation: ").nth(1).unwrap();
        let location = location.split("\r\n").next().unwrap();
        assert_eq!(location, to, "{answer}");
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn static_files_end_at_their_folder() {
    let folder = tempdir().unwrap();
    site(folder.path());
    let www = folder.path().join("www");
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::start([
        "-s",
        &upstream.url(),
        "-w",
        www.to_str().unwrap(),
        "-P",
        "/ui",
    ]);
    let control = get(&kubegate.address, "/ui/nested/deep.js").await;
    assert_eq!(status(&control), 200, "{control}");
    for path in [
        "/ui/../secret",
        "/ui/..%2fsecret",
        "/ui/..%2Fsecret",
        "/ui/%2e%2e/secret",
        "/ui/%2e%2e%2fsecret",
        "/ui/nested/../../secret",
        "/ui/..%5csecret",
        "/ui//../secret",
    ] {
        let answer = get(&kubegate.address, path).await;
        assert!((400..500).contains(&status(&answer)), "{path}: {answer}");
        assert!(!answer.contains("out of reach"), "{path}: {answer}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
#[allow(clippy::too_many_lines)]
async fn what_is_no_file_of_the_folder_is_not_found_at_once() {
    let folder = tempdir().unwrap();
    site(folder.path());
    let www = folder.path().join("www");
    let pipe = std::process::Command::new("mkfifo")
        .arg(www.join("pipe"))
        .status();
    assert!(pipe.unwrap().success());
    let _socket = UnixListener::bind(www.join("socket")).unwrap();
    fs::create_dir(www.join(".git")).unwrap();
    fs::create_dir(www.join("..data")).unwrap();
    for name in [".env", ".git/config", "..data/page", "nested/.hidden"] {
        fs::write(www.join(name), "hidden").unwrap();
    }
    for (name, to) in [
        ("out", "../secret"),
        ("far", "/etc/hostname"),
        ("folder", ".."),
        ("null", "/dev/null"),
        ("loop", "loop"),
        ("gone", "nowhere"),
        // As ConfigMaps are mounted; and a link by the whole path.
        ("page", "..data/page"),
        ("within", "nested/deep.js"),
        ("whole", www.join("nested").to_str().unwrap()),
    ] {
        std::os::unix::fs::symlink(to, www.join(name)).unwrap();
    }
    let start = |more: &[&str]| {
        let mut args = vec!["-w", www.to_str().unwrap()];
        args.extend(more);
        start_beside(&args)
    };
    let (plain, links) = (start(&[]), start(&["--www-follow-symlinks"]));
    let dots = start(&["--www-dotfiles"]);
    let long = format!("/{}", "a".repeat(300));
    // At once: none of them waits.
    let ask = async |kubegate: &Kubegate, path: &str, count: usize| {
        let path = format!("/static{path}");
        let asked = (0..count).map(|_| get(&kubegate.address, &path));
        let answers = futures_util::future::join_all(asked).await;
        let statuses = answers.iter().map(|answer| status(answer));
        let statuses: std::collections::BTreeSet<u16> = statuses.collect();
        (statuses.into_iter().collect::<Vec<_>>(), answers[0].clone())
    };
    for path in [
        "/pipe",
        "/socket",
        "/null",
        "/loop",
        "/gone",
        &long,
        "/index.html/x",
        "/pipe/",
    ] {
        for kubegate in [&plain, &links, &dots] {
            assert_eq!(ask(kubegate, path, 60).await.0, [404], "{path}");
        }
    }
    for path in ["/out", "/far", "/folder/secret"] {
        assert_eq!(ask(&plain, path, 1).await.0, [404], "{path}");
        assert_eq!(ask(&dots, path, 1).await.0, [404], "{path}");
        assert_eq!(ask(&links, path, 1).await.0, [200], "{path}");
    }
    for path in [
        "/.env",
        "/.git/config",
        "/..data/page",
        "/nested/.hidden",
        "/%2eenv",
    ] {
        assert_eq!(ask(&plain, path, 1).await.0, [404], "{path}");
        assert_eq!(ask(&links, path, 1).await.0, [404], "{path}");
        assert_eq!(ask(&dots, path, 1).await.0, [200], "{path}");
    }
    for (path, text) in [
        ("/page", "hidden"),
        ("/within", "deep"),
        // Out, and in again.
        ("/folder/www/nested/deep.js", "deep"),
        ("/whole/deep.js", "deep"),
        ("/whole/", "<p>nested</p>"),
        ("/nested/", "<p>nested</p>"),
    ] {
        let (statuses, answer) = ask(&plain, path, 1).await;
        assert_eq!(statuses, [200], "{path}");
        assert!(answer.ends_with(text), "{path}: {answer}");
    }
    // A part, a HEAD, and a site that is replaced as a whole.
    let request =
        |head: &str| format!("{head} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    let part = request("GET /static/nested/deep.js") + "Range: bytes=1-2\r\n\r\n";
    let answer = exchange(&plain.address, part).await;
    assert!(
        answer.starts_with("HTTP/1.1 206 ") && answer.ends_with("\r\n\r\nee"),
        "{answer}"
    );
    let answer = exchange(
        &plain.address,
        request("HEAD /static/nested/deep.js") + "\r\n",
    )
    .await;
    assert!(answer.contains("content-length: 4\r\n"), "{answer}");
    fs::rename(&www, folder.path().join("before")).unwrap();
    fs::create_dir(&www).unwrap();
    fs::write(www.join("index.html"), "new").unwrap();
    assert!(ask(&plain, "/", 1).await.1.ends_with("new"));
}

#[tokio::test]
async fn a_page_is_served_beside_the_api_by_the_longer_prefix() {
    let folder = tempdir().unwrap();
    site(folder.path());
    let www = folder.path().join("www");
    let www = www.to_str().unwrap();
    let upstream = Upstream::plain(Connection::echo).await;
    let flags = ["-w", www, "--www-prefix", "/", "--api-prefix", "/api/"];
    let kubegate = Kubegate::before(&upstream, &flags);
    for (path, code, text) in [
        ("/api/v1/pods?a=b", 200, "GET /api/v1/pods?a=b HTTP/1.1"),
        ("/", 200, "<p>front</p>"),
        ("/nested/deep.js", 200, "deep"),
        ("/apis/apps/v1", 404, ""),
        ("/api", 307, "location: /api/\r\n"),
    ] {
        let answer = get(&kubegate.address, path).await;
        assert_eq!(status(&answer), code, "{path}: {answer}");
        assert!(answer.contains(text), "{path}: {answer}");
    }
    for (www_prefix, api_prefix) in [("/", "/"), ("/a", "a/")] {
        let prefixes = ["--www-prefix", www_prefix, "--api-prefix", api_prefix];
        let refused = run_beside(&[&["-p", "0", "-w", www], &prefixes[..]].concat());
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(
            refused.stderr.contains("--www-prefix and --api-prefix"),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn static_files_are_not_for_other_hosts_or_pages() {
    let folder = tempdir().unwrap();
    site(folder.path());
    let www = folder.path().join("www");
    let kubegate = start_beside(&["-w", www.to_str().unwrap()]);
    let ask = async |host: &str, more: &str| {
        let head =
            format!("GET /static/ HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n");
        status(&exchange(&kubegate.address, head).await)
    };
    assert_eq!(ask("localhost", "").await, 200);
    assert_eq!(ask("evil.example", "").await, 403);
    assert_eq!(
        ask("localhost", "Origin: https://evil.example\r\n").await,
        403
    );
}

#[test]
fn a_missing_www_folder_is_told_at_start() {
    let folder = tempdir().unwrap();
    let missing = folder.path().join("www");
    let ended = run_beside(&["--port", "0", "-w", missing.to_str().unwrap()]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert!(ended.stderr.contains("--www"), "{ended:?}");
    assert!(
        ended.stderr.contains(missing.to_str().unwrap()),
        "{ended:?}"
    );
}

// What it keeps to itself.

#[tokio::test]
async fn no_secret_is_logged_however_much_is_asked_for() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let ca = cert("ca.pem");
    let base = [
        "-s",
        &upstream.url(),
        "--certificate-authority",
        ca.to_str().unwrap(),
        "-v",
        "9",
    ];
    for login in [
        &["--token", "hunter2-token"][..],
        &["--username", "jane", "--password", "hunter2-password"],
    ] {
        let kubegate = Kubegate::start(base.iter().chain(login));
        let answer = get(&kubegate.address, "/seen-path?command=hunter2-query").await;
        assert_eq!(status(&answer), 200, "{answer}");
        let head = format!(
            "GET /own HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer hunter2-own\r\n\
             Cookie: hunter2-cookie\r\nConnection: close\r\n\r\n",
            kubegate.address
        );
        let answer = exchange(&kubegate.address, head).await;
        assert!(answer.contains("hunter2-own"), "{answer}");
        kubegate.signal("TERM");
        let (_, log) = kubegate.wait();
        assert!(log.contains("seen-path"), "no request in the log: {log}");
        for secret in ["hunter2", "amFuZTpodW50ZXIyLXBhc3N3b3Jk"] {
            assert!(!log.contains(secret), "{log}");
        }
        for library in ["hyper::", "h2::", "rustls::", "hyper_util"] {
            assert!(!log.contains(library), "{log}");
        }
    }
}

/// Runs a command whose standard output nothing reads.
fn run_unread(args: &[&str]) -> Refused {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Kubegate::command(NOWHERE);
    command.args(args).stdout(writer);
    Kubegate::refused_into(command)
}

#[test]
fn a_proxy_with_a_closed_stdout_is_an_error_and_no_panic() {
    let ended = run_unread(&["--port", "0"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("standard output"), "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
}

#[test]
fn a_command_whose_reader_ends_ends_quietly_as_by_sigpipe() {
    for (args, code) in [
        (&["completions", "bash"][..], 141),
        (&["completions", "zsh"], 141),
        (&["completions", "powershell"], 141),
        (&["options"], 141),
        (&["contexts"], 141),
        (&["contexts", "-o", "json"], 141),
        (&["version"], 141),
        (&["registry", "list"], 141),
        (&["docker-credential", "list"], 141),
        (&["--help"], 0),
        (&["login", "oidc", "--help"], 0),
        (&["--version"], 0),
    ] {
        let ended = run_unread(args);
        assert_eq!(ended.code, Some(code), "{args:?}: {ended:?}");
        assert_eq!(ended.stderr, "", "{args:?}");
    }
    // The control: a disk that is full is an error.
    let mut command = Kubegate::command(["options"]);
    command.stdout(fs::File::options().write(true).open("/dev/full").unwrap());
    let ended = Kubegate::refused_into(command);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("standard output"), "{ended:?}");
}
