//! The login by device code (RFC 8628): shows a page and a code, and waits until the user has logged in
//! with a browser on any device.

use std::{ffi::OsString, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{issuer::Issuer, qr_code};
use crate::{
    console,
    credential::{
        self,
        oidc::{DeviceAuthorization, DevicePoll, Granted},
    },
    login::{Error, browser},
    printable::printable,
    settings::BrowserFlags,
};

/// What the interval grows by when the issuer asks for it (RFC 8628, section 3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// The shortest interval, whatever the issuer says.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// The longest pause while the issuer cannot be reached.
const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// The longest wait for the user, whatever the issuer and the flags say.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);
/// Characters that a URL or a code may have to be shown.
const LIMIT: usize = 2048;

/// Has the user log in with a browser on any device, and returns the tokens.
///
/// # Errors
/// An issuer without logins by device code; no login while the code is valid; a refusal by the issuer.
pub(super) async fn log_in(
    issuer: &Issuer<'_>,
    browser: &BrowserFlags,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Granted, Error> {
    let Issuer {
        client,
        metadata,
        secret,
        flags,
    } = *issuer;
    let scopes = &flags.oidc_extra_scope;
    let params = flags.extra_pairs();
    let device = client.begin_device_login(metadata, secret, scopes, &params);
    let device = device.await?;
    show(&device, browser, env)?;
    let began = Instant::now();
    let limit = device.expires_in.min(browser::limit(browser));
    let limit = limit.min(LONGEST_WAIT);
    let poll = async || client.poll_device(metadata, secret, &device, scopes).await;
    wait(device.interval, began + limit, poll).await
}

/// Shows where to log in, and opens that page if there is a browser.
fn show(
    device: &DeviceAuthorization,
    browser: &BrowserFlags,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<(), Error> {
    let page = checked_url(&device.verification_uri)?;
    // Without it, the user types the code.
    let complete = device.verification_uri_complete.as_deref();
    let complete = complete.filter(|url| checked_url(url).is_ok());
    let code = device.user_code.as_str();
    if code.chars().count() > LIMIT {
        return Err(failed("the issuer's code is too long to be shown"));
    }
    let limit = device.expires_in.min(browser::limit(browser));
    let minutes = limit.as_secs().div_ceil(60);
    // The user compares the code (RFC 8628, section 3.3.1).
    let shortcut = complete.map(|url| {
        let url = printable(url);
        format!("or open this page, and see that it shows that code:\n\n  {url}\n\n")
    });
    let text = format!(
        "Log in here, in a browser on any device:\n\n  {}\n\nand type the code\n\n  {}\n\n{}{}Waiting for \
         the login, for up to {minutes} min ...",
        printable(page),
        printable(code),
        shortcut.unwrap_or_default(),
        qr_code::drawn(complete.unwrap_or(page), env).unwrap_or_default(),
    );
    console::eprint(&text);
    if browser::is_available(browser, env) {
        browser::start(complete.unwrap_or(page), browser, env);
    }
    Ok(())
}

/// Returns a URL that a browser may open.
fn checked_url(url: &str) -> Result<&str, Error> {
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    if !is_web || url.len() > LIMIT {
        return Err(failed("the issuer's page for the login is no https:// URL"));
    }
    Ok(url)
}

fn failed(problem: impl Into<String>) -> Error {
    Error::Device {
        problem: problem.into(),
    }
}

/// Asks by `poll` until the user has logged in, or until `end`. While the issuer cannot be reached, the
/// pauses grow (RFC 8628, section 3.5).
async fn wait(
    interval: Duration,
    end: Instant,
    mut poll: impl AsyncFnMut() -> Result<DevicePoll, credential::Error>,
) -> Result<Granted, Error> {
    let mut interval = interval.max(MIN_INTERVAL);
    let mut pause = interval;
    loop {
        let next = Instant::now().checked_add(pause);
        let Some(next) = next.filter(|next| *next < end) else {
            sleep_until(end).await;
            return Err(failed(
                "nobody logged in in time; run the command again, and log in sooner",
            ));
        };
        sleep_until(next).await;
        match poll().await {
            Ok(DevicePoll::Granted(granted)) => return Ok(granted),
            Ok(DevicePoll::Pending) => pause = interval,
            Ok(DevicePoll::SlowDown { retry_after }) => {
                interval = interval.saturating_add(SLOW_DOWN);
                pause = interval.max(retry_after.unwrap_or_default());
            }
            Ok(DevicePoll::Expired) => {
                return Err(failed(
                    "the code has expired; run the command again, and log in sooner",
                ));
            }
            Ok(DevicePoll::Denied(words)) => {
                return Err(failed(format!("the login was denied{words}")));
            }
            Err(error) if error.is_transient() => {
                let asked = error.retry_after().unwrap_or_default();
                pause = pause
                    .saturating_mul(2)
                    .min(MAX_BACKOFF)
                    .max(interval)
                    .max(asked);
                let error = &error as &dyn std::error::Error;
                tracing::info!(
                    error,
                    "cannot ask whether the user has logged in; trying again"
                );
            }
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::kubeconfig::OidcTokens;

    const SECOND: Duration = Duration::from_secs(1);

    fn transient() -> credential::Error {
        credential::Error::WaitedTooLong {
            subject: "the issuer".to_owned(),
            after: SECOND,
        }
    }

    fn slow_down(retry_after: Option<Duration>) -> DevicePoll {
        DevicePoll::SlowDown { retry_after }
    }

    fn granted() -> DevicePoll {
        DevicePoll::Granted(Granted {
            tokens: OidcTokens::default(),
            scope: None,
            machine: None,
        })
    }

    /// Polls with these answers, and returns the result and the second of each poll.
    async fn polled(
        interval: u64,
        end: u64,
        answers: Vec<Result<DevicePoll, credential::Error>>,
    ) -> (Result<Granted, Error>, Vec<u64>) {
        let began = Instant::now();
        let mut answers = answers.into_iter();
        let mut polls = Vec::new();
        let poll = async || {
            polls.push(began.elapsed().as_secs());
            answers.next().unwrap()
        };
        let outcome = wait(
            Duration::from_secs(interval),
            began + SECOND * u32::try_from(end).unwrap(),
            poll,
        );
        (outcome.await, polls)
    }

    #[tokio::test(start_paused = true)]
    async fn the_issuer_is_asked_at_its_interval_which_grows_when_it_says_so() {
        let answers = vec![
            Ok(DevicePoll::Pending),
            Ok(slow_down(None)),
            Ok(DevicePoll::Pending),
            Ok(slow_down(None)),
            Ok(granted()),
        ];
        let (outcome, polls) = polled(5, 600, answers).await;
        assert!(outcome.is_ok());
        assert_eq!(polls, [5, 10, 20, 30, 45]);
        // An interval of zero is not taken at its word.
        let (_, polls) = polled(0, 600, vec![Ok(DevicePoll::Pending), Ok(granted())]).await;
        assert_eq!(polls, [1, 2]);
        let answers = vec![Ok(slow_down(Some(SECOND * 30))), Ok(granted())];
        let (_, polls) = polled(5, 600, answers).await;
        assert_eq!(polls, [5, 35]);
        let (outcome, polls) = polled(u64::MAX, 600, vec![]).await;
        assert!(outcome.err().unwrap().to_string().contains("in time"));
        assert_eq!(polls, [0; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_of_the_issuer_does_not_end_the_login() {
        let answers = vec![
            Err(transient()),
            Err(transient()),
            Ok(DevicePoll::Pending),
            Ok(granted()),
        ];
        let (outcome, polls) = polled(5, 600, answers).await;
        assert!(outcome.is_ok());
        assert_eq!(polls, [5, 15, 35, 40]);
        let (outcome, polls) = polled(5, 600, vec![Err(credential::Error::NoRandomness)]).await;
        assert!(outcome.is_err());
        assert_eq!(polls, [5]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_code_that_expires_or_is_denied_ends_the_login() {
        let pending = (0..3).map(|_| Ok(DevicePoll::Pending)).collect();
        let began = Instant::now();
        let (outcome, polls) = polled(5, 19, pending).await;
        assert!(outcome.err().unwrap().to_string().contains("in time"));
        assert_eq!(polls, [5, 10, 15]);
        assert_eq!(began.elapsed().as_secs(), 19);
        for (answer, says) in [
            (DevicePoll::Expired, "expired"),
            (
                DevicePoll::Denied(": access_denied".to_owned()),
                "denied: access_denied",
            ),
        ] {
            let (outcome, _) = polled(5, 600, vec![Ok(answer)]).await;
            let error = outcome.err().unwrap().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn only_the_url_of_a_page_is_shown() {
        assert!(checked_url("https://issuer.example/device").is_ok());
        for url in ["javascript:alert(1)", "file:///etc/passwd", "", "-x"] {
            assert!(checked_url(url).is_err(), "{url}");
        }
        assert!(checked_url(&format!("https://a/{}", "x".repeat(LIMIT))).is_err());
    }
}
