//! The command line: the flags of `kubectl proxy` are accepted, and errors name their cause.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    process::Stdio,
};

use serde_json::Value;
use tempfile::tempdir;

use crate::support::{Connection, Kubegate, Refused, Upstream, cert, exchange, get, status};

/// An API server that is never connected to.
const NOWHERE: [&str; 2] = ["--server", "https://127.0.0.1:1"];

fn run(args: &[&str]) -> Refused {
    Kubegate::refused(Kubegate::command(args))
}

/// Runs the program with an API server to proxy to; it must end by itself.
fn run_beside(args: &[&str]) -> Refused {
    let mut command = Kubegate::command(NOWHERE);
    command.args(args);
    Kubegate::refused(command)
}

fn start_beside(args: &[&str]) -> Kubegate {
    Kubegate::start(NOWHERE.iter().chain(args))
}

// Output.

#[tokio::test]
async fn stdout_has_only_the_line_with_the_address() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::start(["proxy", "--server", &upstream.url()]);
    let address: SocketAddr = kubegate.address.parse().unwrap();
    assert!(address.ip().is_loopback() && address.is_ipv4());
    assert_ne!(address.port(), 0);
    assert_eq!(
        upstream.connections(),
        0,
        "connected before the first request"
    );
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
        // The port may be in use on this machine; both outcomes name it.
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

/// Returns what a command prints on a terminal of this width.
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
    // On a narrow terminal it is longer, and complete.
    assert!(printed(20, &["--help"]).contains("--context"));
}

#[test]
fn options_lists_the_flags_for_cluster_and_user() {
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
    // A command's own flag of the same name is shown.
    assert!(printed(80, &["login", "ibm", "--help"]).contains("--cluster <NAME>"));
}

#[test]
fn version_has_the_format_of_kubectl() {
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
fn the_help_of_every_command_has_examples_and_exit_codes() {
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
fn every_shell_has_a_completion_script() {
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

/// kubectl's global flags, with values that choose no existing cluster.
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

/// Whether the flags are understood: the exit code is then 1, since there is no API server, else 2.
fn understood(args: &[&str]) -> bool {
    let ended = run(args);
    match ended.code {
        Some(1) => true,
        Some(2) => false,
        _ => panic!("{args:?}: {ended:?}"),
    }
}

#[test]
fn global_flags_of_kubectl_are_accepted_before_and_after_the_command() {
    for flag in GLOBAL {
        assert!(understood(flag), "{flag:?}");
        assert!(understood(&[flag, &["proxy"][..]].concat()), "{flag:?}");
        assert!(understood(&[&["proxy"][..], flag].concat()), "{flag:?}");
    }
    assert!(!understood(&["--no-such-flag"]));
    assert!(!understood(&["proxy", "--no-such-flag"]));
}

#[test]
fn flags_of_kubectl_proxy_are_accepted_only_after_the_command() {
    for flag in PROXY {
        assert!(understood(flag), "{flag:?}");
        assert!(understood(&[&["proxy"][..], flag].concat()), "{flag:?}");
        let before = run(&[flag, &["proxy"][..]].concat());
        assert_eq!(before.code, Some(2), "{flag:?}");
        assert!(before.stderr.contains("after the command"), "{before:?}");
    }
}

#[tokio::test]
async fn the_last_value_of_a_repeated_flag_counts() {
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
async fn an_empty_value_counts_as_no_value() {
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
fn flags_without_an_effect_are_logged_at_verbosity_1() {
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

/// Command lines that are wrong whatever files and servers hold, and the flag that the error names.
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

/// The same for other commands.
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
fn a_wrong_command_line_names_its_flag_and_exits_with_2() {
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
        let ended = run_beside(args);
        assert_eq!(ended.code, Some(1), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(flag), "{args:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    }
}

// Missing and unknown targets.

#[test]
fn a_missing_server_is_reported_in_one_sentence() {
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
fn an_unknown_context_cluster_or_user_is_reported_in_one_sentence() {
    for kind in ["context", "cluster", "user"] {
        let ended = run_beside(&["--port", "0", &format!("--{kind}"), "nope"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{kind}");
        let said = format!("{kind} \"nope\", named by --{kind}, does not exist: there is no kube");
        assert!(ended.stderr.contains(&said), "{}", ended.stderr);
    }
}

#[cfg(feature = "demo")]
#[test]
fn the_demo_refuses_flags_that_choose_another_cluster() {
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
fn an_empty_kubeconfig_chooses_no_server() {
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

// Logs and closed streams.

#[tokio::test]
async fn no_secret_is_logged_at_any_verbosity() {
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

/// Runs a command whose standard output has no reader.
fn run_unread(args: &[&str]) -> Refused {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Kubegate::command(NOWHERE);
    command.args(args).stdout(writer);
    Kubegate::refused_into(command)
}

#[test]
fn a_closed_stdout_ends_the_proxy_with_an_error() {
    let ended = run_unread(&["--port", "0"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("standard output"), "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
}

#[test]
fn a_command_ends_quietly_after_its_reader() {
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
    // The control: a full disk is an error.
    let mut command = Kubegate::command(["options"]);
    command.stdout(fs::File::options().write(true).open("/dev/full").unwrap());
    let ended = Kubegate::refused_into(command);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("standard output"), "{ended:?}");
}
