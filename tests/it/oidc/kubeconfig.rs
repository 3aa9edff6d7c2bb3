//! Reading tokens from the kubeconfig, and writing refreshed ones to it.

use super::*;
use crate::support::in_time;

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_written_gets_one_warning() {
    let home = Home::new(3).await;
    // A pipe can be read once, and cannot be written.
    let (url, ca) = (home.issuer.url(), home.issuer_ca());
    let text = home.config(&url, &ca, &jwt("old", -60.0), &home.refresh_token());
    let mut command = Kubegate::command(["--kubeconfig", "/dev/stdin", "--port", "0"]);
    let (reader, mut writer) = std::io::pipe().unwrap();
    command.stdin(reader);
    std::io::Write::write_all(&mut writer, text.as_bytes()).unwrap();
    drop(writer);
    let kubegate = Kubegate::spawn(command);
    let started = Instant::now();
    while home.issuer.refreshes() < 4 {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{}",
            kubegate.log()
        );
        let response = get(&kubegate.address, "/x").await;
        assert_eq!(status(&response), 200, "{response}: {}", kubegate.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(home.issuer.refused(), 0);
    let log = kubegate.log();
    assert_eq!(log.matches("kept in memory only").count(), 1, "{log}");
}

#[tokio::test]
async fn a_form_that_cannot_be_edited_is_refused_before_a_refresh() {
    let home = Home::new(60).await;
    // kubegate does not rewrite a token that spans several lines.
    let refresh_token = home.refresh_token();
    let (start, end) = refresh_token.split_at(8);
    home.write(
        &jwt("old", -60.0),
        &format!("\"{start}\\\n          {end}\""),
    );
    let kubegate = home.start();
    let response = get(&kubegate.address, "/x").await;
    assert_ne!(status(&response), 200, "{response}");
    assert!(
        response.contains("refresh-token") && response.contains("on one line"),
        "{response}"
    );
    assert_eq!((home.issuer.refreshes(), home.issuer.refused()), (0, 0));
    // The control: the same token in a form that can be edited.
    drop(kubegate);
    home.write(&jwt("old", -60.0), &refresh_token);
    let kubegate = home.start();
    assert_eq!(status(&get(&kubegate.address, "/x").await), 200);
}

#[tokio::test]
async fn refreshed_tokens_replace_those_in_effect_and_nothing_else() {
    let home = Home::new(60).await;
    let (url, ca) = (home.issuer.url(), home.issuer_ca());
    let text = home.config(&url, &ca, "OLD-ID", "OLD-REFRESH");
    let second_document = "---\n# another\nusers: [\n";
    for (form, is_utf16) in [
        (text.clone() + second_document, false),
        (
            text.replace(
                "        id-token",
                "        id-token: shadowed\n        id-token",
            ),
            false,
        ),
        (format!("\u{feff}{text}"), true),
    ] {
        let old_refresh_token = home.refresh_token();
        let filled = form
            .replace("OLD-ID", &jwt("old", -60.0))
            .replace("OLD-REFRESH", &old_refresh_token);
        let bytes = if is_utf16 {
            filled.encode_utf16().flat_map(u16::to_le_bytes).collect()
        } else {
            filled.into_bytes()
        };
        fs::write(home.path(), bytes).unwrap();
        let kubegate = home.start();
        assert_eq!(
            status(&get(&kubegate.address, "/x").await),
            200,
            "{}",
            kubegate.log()
        );
        let (id_token, refresh_token) = home.saved_tokens();
        assert_ne!(refresh_token, old_refresh_token);
        assert!(home.issuer.accepts_refresh_token(&refresh_token));
        let expected = form
            .trim_start_matches('\u{feff}')
            .replace("OLD-ID", &id_token)
            .replace("OLD-REFRESH", &refresh_token);
        assert_eq!(home.text(), expected);
    }
}

#[tokio::test]
async fn a_refresh_token_that_kubectl_rotated_is_read_from_the_file() {
    // Before kubegate refreshes: it finds the new token and uses it.
    let home = Home::new(60).await;
    home.write(&jwt("old", 3.0), &home.refresh_token());
    let kubegate = home.start();
    assert_eq!(status(&get(&kubegate.address, "/x").await), 200);
    home.issuer.revoke();
    home.write(&jwt("rotated", -1.0), &home.refresh_token());
    in_time(async {
        while home.issuer.refreshes() == 0 {
            let response = get(&kubegate.address, "/x").await;
            assert_eq!(status(&response), 200, "{response}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(home.issuer.refused(), 0);

    // While kubegate refreshes: its own token is refused, and it tries the one in the file.
    let home = Home::new(60).await;
    home.write(&jwt("old", -60.0), &home.refresh_token());
    home.issuer.revoke();
    let rotated = home.refresh_token();
    home.issuer.faults().only_on("/token");
    home.issuer.faults().delay(Duration::from_secs(1));
    let kubegate = home.start();
    let address = kubegate.address.clone();
    let request = tokio::spawn(async move { get(&address, "/x").await });
    in_time(async {
        while home.issuer.server().count("/token") == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    home.write(&jwt("rotated", -1.0), &rotated);
    let response = in_time(request).await.unwrap();
    assert_eq!(status(&response), 200, "{response}");
    assert_eq!(home.issuer.refused(), 1);
    assert_ne!(home.saved_tokens().1, rotated);
    assert!(home.has_valid_refresh_token());
}

#[tokio::test]
async fn own_writes_are_no_change_and_a_new_login_is_used() {
    let home = Home::new(60).await;
    home.write(&jwt("old", -60.0), &home.refresh_token());
    let kubegate = home.start();
    home.is_served_with_saved_token(&kubegate).await;
    tokio::time::sleep(Duration::from_millis(3500)).await;
    home.is_served_with_saved_token(&kubegate).await;
    assert_eq!(home.issuer.refreshes(), 1);
    home.write(&jwt("new-login", 60.0), &home.saved_tokens().1);
    home.is_served_with_saved_token(&kubegate).await;
    assert_eq!(home.issuer.refreshes(), 1);
    let log = kubegate.log();
    assert!(
        !log.contains("reloaded") && !log.contains(" WARN "),
        "{log}"
    );
}
