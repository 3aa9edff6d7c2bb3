//! Logins of people on a terminal without a browser.

use super::*;
use crate::support::{command_like, on_terminal};

/// Runs a program on a terminal, and does with curl what its user does in a browser elsewhere: `device`
/// types the code that is shown on the page that is shown, `code` types the code of the issuer's page
/// into the terminal, and `url` the URL of a redirect.
const SCRIPT: &str = r#"
import os, pty, re, subprocess, sys

ca, task, program = sys.argv[1], sys.argv[2], sys.argv[3:]
child, terminal = pty.fork()
if child == 0:
    os.execv(program[0], program)

def curl(url, *more):
    command = ["curl", "--silent", "--cacert", ca, *more, url]
    return subprocess.run(command, capture_output=True, check=True).stdout

def act(text):
    if task == "device":
        page = re.search(r"\n  (https://\S+/device)\n\nand type the code\n\n  (\S+)\n", text)
        if page and "Waiting for the login" in text:
            curl(page[1] + "?user_code=" + page[2])
            return True
    else:
        page = re.search(r"\n  (https://\S+)\n", text)
        if page and text.endswith("(hidden): "):
            if task == "code":
                answer = curl(page[1]).decode().split("code: ")[1].strip()
            else:
                options = ["--output", "/dev/null", "--write-out", "%{redirect_url}"]
                answer = curl(page[1], *options).decode()
            os.write(terminal, answer.encode() + b"\n")
            return True
    return False

shown, acted = b"", False
try:
    while part := os.read(terminal, 4096):
        shown += part
        sys.stdout.buffer.write(part)
        acted = acted or act(shown.decode(errors="replace").replace("\r\n", "\n"))
except OSError:
    pass
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"#;

/// Wraps `command` so that it runs on a terminal, and its user does `task` elsewhere.
fn with_user(home: &Home, command: &Command, task: &str) -> Command {
    let ca = home.path("issuer.pem");
    let mut args = vec!["-c", SCRIPT, ca.to_str().unwrap(), task];
    args.push(command.get_program().to_str().unwrap());
    args.extend(command.get_args().map(|arg| arg.to_str().unwrap()));
    command_like(command, "python3", &args)
}

fn succeeded(command: Command) -> String {
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_by_device_code_needs_no_browser_on_this_machine() {
    let home = Home::new().await;
    let mut command = home.login(&["--grant-type", "device-code"]);
    command.env("LANG", "C.UTF-8");
    let shown = succeeded(with_user(&home, &command, "device"));
    assert!(shown.contains("as oidc:jane@example.com"), "{shown}");
    // The margin of the QR code.
    assert!(shown.contains(&"█".repeat(25)), "{shown}");
    assert_eq!(home.issuer.logins(), 1);
    assert!(home.kubeconfig().contains("--grant-type=device-code"));
    let whoami = home.out(&["whoami"]);
    assert!(whoami.contains("oidc:jane@example.com"), "{whoami}");

    // The context is enough to log in again, with the same grant. A terminal without Unicode gets no
    // QR code.
    home.out(&["logout"]);
    let name = context_name(&home);
    let mut again = home.command(&["login", "oidc", "--context", &name]);
    again.env("LC_ALL", "C");
    let shown = succeeded(with_user(&home, &again, "device"));
    assert!(
        shown.contains("and type the code") && !shown.contains('█'),
        "{shown}"
    );
    assert_eq!(home.issuer.logins(), 2);
}

fn context_name(home: &Home) -> String {
    let text = home.kubeconfig();
    let line = text
        .lines()
        .find(|line| line.starts_with("current-context:"));
    let name = line.unwrap().split_once(':').unwrap().1.trim().to_owned();
    let rest = name.trim_matches(['"', '\'']);
    rest.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_takes_a_grant_that_needs_no_browser_and_says_so() {
    let home = Home::new().await;
    let shown = succeeded(with_user(&home, &home.login(&[]), "device"));
    let says = "no browser on this machine, so this is a login by device-code";
    assert!(shown.contains(says), "{shown}");

    // The redirect is the one that clients of kubelogin have. Nothing listens there.
    let home = Home::with(Options {
        device_flow: false,
        ..options()
    })
    .await;
    let shown = succeeded(with_user(&home, &home.login(&[]), "url"));
    assert!(
        shown.contains("so this is a login by authcode-keyboard"),
        "{shown}"
    );
    assert!(!shown.contains("oidc-code-"), "the code is shown: {shown}");
    assert_eq!(home.issuer.logins(), 1);
    let device = home.login(&["--grant-type", "device-code"]);
    let ended = Kubegate::refused(device);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("choose another --grant-type"),
        "{ended:?}"
    );

    // With a browser there is no reason for it.
    let mut command = home.login(&["--oidc-redirect-url", "http://127.0.0.1:0/callback"]);
    command.env("BROWSER", home.curl());
    let shown = succeeded(on_terminal(&command, &[]));
    assert!(!shown.contains("no browser on this machine"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_from_another_browser_is_typed_alone_or_as_a_url() {
    let home = Home::new().await;
    let keyboard = ["--grant-type", "authcode-keyboard"];
    succeeded(with_user(&home, &home.login(&keyboard), "code"));
    assert_eq!(home.issuer.logins(), 1);
    let mut with_url = keyboard.to_vec();
    with_url.extend(["--oidc-redirect-url", "http://localhost:9/callback"]);
    succeeded(with_user(&home, &home.login(&with_url), "url"));
    assert_eq!(home.issuer.logins(), 2);

    // The URL of another login.
    let answer = "http://localhost:9/callback?code=oidc-code-x&state=x";
    let command = on_terminal(&home.login(&with_url), &[("(hidden): ", answer)]);
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stdout.contains("may be of another login"),
        "{ended:?}"
    );
    // A pasted line may be longer than a terminal's own limit.
    let long = format!(
        "http://localhost:9/?x={}&error=access_denied",
        "x".repeat(6000)
    );
    let command = on_terminal(&home.login(&keyboard), &[("(hidden): ", &long)]);
    let ended = Kubegate::refused(command);
    assert!(
        ended.stdout.contains("the issuer says access_denied"),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_typed_on_the_terminal() {
    let home = Home::with(Options {
        password: Some("correct horse".to_owned()),
        ..options()
    })
    .await;
    let command = home.login(&["--grant-type=password"]);
    let wrong = [("Username: ", "jane"), ("Password: ", "wrong horse")];
    let ended = Kubegate::refused(on_terminal(&command, &wrong));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("refused the user name or the password"),
        "{ended:?}"
    );
    assert!(!ended.stdout.contains("horse"), "{ended:?}");
    let right = [("Username: ", "jane"), ("Password: ", "correct horse")];
    succeeded(on_terminal(&command, &right));
    // The login is renewed by its refresh token, so the password is not kept.
    assert!(!home.state().contains("horse") && home.state().contains("refresh-token"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_code_that_is_denied_or_expires_changes_nothing() {
    let home = Home::with(Options {
        device_code: Duration::from_secs(2),
        ..options()
    })
    .await;
    home.issuer.refuse_logins(true);
    let command = home.login(&["--grant-type=device-code"]);
    let ended = Kubegate::refused(with_user(&home, &command, "device"));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stdout.contains("the login was denied: access_denied"),
        "{ended:?}"
    );
    // Nobody logs in.
    let ended = Kubegate::refused(home.login(&["--grant-type=device-code"]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("nobody logged in in time"),
        "{ended:?}"
    );
    assert!(!home.path(".kube/config").exists());
    assert!(!home.path(".local/state/kubegate/logins").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_with_the_code_is_opened_if_there_is_a_browser() {
    let home = Home::new().await;
    let mut command = home.login(&["--grant-type=device-code"]);
    command.env("BROWSER", home.curl());
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");

    // An outage while the user logs in does not end the login.
    home.issuer.faults().only_on("/token");
    let failing = kubegate::demo::https::FaultyResponse::Status(http::StatusCode::BAD_GATEWAY);
    home.issuer.faults().respond_with(Some(failing));
    home.issuer.faults().limit_to(1);
    let mut command = home.login(&["--grant-type=device-code"]);
    command.env("BROWSER", home.curl());
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("trying again"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_told_to_slow_down_waits_before_it_asks_again() {
    let home = Home::new().await;
    let faults = home.issuer.faults();
    faults.only_on("/token");
    faults.respond_with(Some(kubegate::demo::https::FaultyResponse::Custom {
        status: http::StatusCode::TOO_MANY_REQUESTS,
        headers: Vec::new(),
        body: r#"{"error": "slow_down"}"#.to_owned(),
    }));
    let ended =
        Kubegate::refused(home.login(&["--grant-type=device-code", "--authentication-timeout=4s"]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("in time"), "{ended:?}");
    assert_eq!(home.issuer.server().count("/token"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_told_to_wait_by_a_200_too() {
    let home = Home::new().await;
    let answer = |code: &str| {
        let faults = home.issuer.faults();
        faults.only_on("/token");
        faults.limit_to(1);
        faults.respond_with(Some(kubegate::demo::https::FaultyResponse::Custom {
            status: http::StatusCode::OK,
            headers: Vec::new(),
            body: format!(r#"{{"error": "{code}"}}"#),
        }));
    };
    let command = home.login(&["--grant-type=device-code"]);
    answer("authorization_pending");
    succeeded(with_user(&home, &command, "device"));
    assert!(home.issuer.server().count("/token") > 1);
    answer("access_denied");
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("was denied: access_denied"),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_answer_without_sense_does_not_end_the_program() {
    let home = Home::new().await;
    let faults = home.issuer.faults();
    for interval in ["1e19", "null"] {
        faults.clear();
        let path = "/device";
        faults.only_on(path);
        faults.respond_with(Some(kubegate::demo::https::FaultyResponse::Custom {
            status: http::StatusCode::OK,
            headers: Vec::new(),
            body: format!(
                r#"{{"device_code": "d", "user_code": "u", "interval": {interval},
                "verification_uri": "https://a.example", "verification_url": "https://b.example",
                "verification_uri_complete": "javascript:1", "expires_in": 1e19}}"#
            ),
        }));
        let before = home.issuer.server().count(path);
        let ended = Kubegate::refused(
            home.login(&["--grant-type=device-code", "--authentication-timeout=1s"]),
        );
        assert_eq!(home.issuer.server().count(path), before + 1);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("in time"), "{ended:?}");
        assert!(ended.stderr.contains("https://a.example"), "{ended:?}");
        assert!(!ended.stderr.contains("javascript"), "{ended:?}");
    }
}
