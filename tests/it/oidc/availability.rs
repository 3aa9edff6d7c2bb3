//! A valid token is used whatever becomes of its issuer.

use tokio::{net::TcpListener, task::JoinSet};

use super::*;

/// Sends requests until `end`. Each response must be 200, and come at once.
async fn is_served_at_once(kubegate: &Kubegate, end: Instant) {
    let mut requests = 0;
    while Instant::now() < end {
        let began = Instant::now();
        let response = get(&kubegate.address, "/x").await;
        assert_eq!(status(&response), 200, "{response}: {}", kubegate.log());
        let took = began.elapsed();
        assert!(took < Duration::from_millis(800), "{took:?} of {requests}");
        requests += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(requests > 50, "{requests}");
}

#[tokio::test]
async fn a_valid_token_is_used_at_once_whatever_its_issuer_does() {
    // Accepts connections and never responds, like a process that was stopped.
    let stopped = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stopped = format!("https://localhost:{}", stopped.local_addr().unwrap().port());
    // Port 1 refuses connections.
    let down = "https://localhost:1".to_owned();
    let home = Home::new(60).await;
    home.issuer.faults().only_on("/token");
    home.issuer.faults().delay(Duration::from_millis(700));
    let slow = home.issuer.url();
    let ca = home.issuer_ca();
    let mut trials = JoinSet::new();
    for (issuer, is_slow) in [(stopped, false), (down, false), (slow, true)] {
        let refresh_token = home.refresh_token();
        let home = Home::new(60).await;
        // The token is in its last tenth, and due for renewal well before its end.
        let claims = json!({"iat": now() - 90.0, "exp": now() + 8.0});
        let claims = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
        let begins = Instant::now();
        let ends = begins + Duration::from_secs(8);
        home.write_for(&issuer, &ca, &format!("e30.{claims}.c2ln"), &refresh_token);
        trials.spawn(async move {
            let kubegate = home.start();
            is_served_at_once(&kubegate, begins + Duration::from_millis(7500)).await;
            if is_slow {
                is_served_at_once(&kubegate, ends + Duration::from_secs(2)).await;
            }
            (kubegate, home, ends, issuer)
        });
    }
    while let Some(trial) = trials.join_next().await {
        let (kubegate, _home, ends, issuer) = trial.unwrap();
        if issuer == "https://localhost:1" {
            tokio::time::sleep_until(ends.into()).await;
            let response = get(&kubegate.address, "/x").await;
            assert_eq!(status(&response), 503, "{response}");
            assert!(response.contains("next try in "), "{response}");
            assert!(
                response.contains(&format!("reach the issuer at {issuer}")),
                "{response}"
            );
        }
    }
    assert_eq!(home.issuer.refreshes(), 1);
}
