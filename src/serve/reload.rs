//! Takes up what changed in files, or on SIGHUP, while the proxy runs.
//!
//! What did not change is kept: the credentials and what they hold, the connections to the API
//! server. What cannot be used changes nothing and is warned of once.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use super::{
    BoxError, Hangups, Standing,
    plan::{Place, Ways},
    watched::Watched,
};
use crate::{proxy::ReloadHandle, telemetry};

/// How often files are looked at. The system is not asked to notify of changes besides: network
/// mounts give no notice, so that one has to look all the same, and a look costs microseconds.
const LOOK: Duration = Duration::from_secs(1);

impl Standing {
    /// Looks for changes until the runtime ends, and turns `reload_handle` to what stands then.
    pub async fn keep(mut self, reload_handle: ReloadHandle, mut hangups: Hangups) {
        let mut watched = Watched::default();
        let mut broken = Broken::default();
        let mut at_start = true;
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = looks.tick() => {
                    telemetry::tick();
                    false
                }
                () = hangups.received() => true,
            };
            watched.set(self.place.files.iter().cloned());
            let looking = spawn_blocking(move || {
                let changes = watched.look();
                (watched, changes)
            });
            // Not so, only where the runtime is shutting down.
            let Ok((looked, changes)) = looking.await else {
                return;
            };
            watched = looked;
            let first = std::mem::take(&mut at_start);
            if !(asked || changes.any || broken.is()) {
                continue;
            }
            match self.place.again(&self.ways, &reload_handle).await {
                Ok((place, news)) => {
                    broken.mended();
                    place.tell(&news, asked);
                    self.place = place;
                }
                Err(error) => broken.tell(&*error, asked),
            }
            // At the first look every file is new: requests that wait for a plugin already need
            // no second one where it fails.
            if asked || changes.by_others && !first {
                self.place.destination.credentials.recheck_in_background();
            }
        }
    }
}

impl Place {
    /// Asks the plan again, and turns `reload_handle` where it has something new; gives what is new.
    async fn again(
        &self,
        ways: &Arc<Ways>,
        reload_handle: &ReloadHandle,
    ) -> Result<(Self, Vec<&'static str>), BoxError> {
        let found = ways.plan.find().await?;
        let (ways, before) = (Arc::clone(ways), self.clone());
        let place = spawn_blocking(move || ways.make(found, Some(&before))).await??;
        let news = place.news_since(self);
        if !news.is_empty() {
            reload_handle.reload(&place.destination)?;
        }
        Ok((place, news))
    }

    fn news_since(&self, before: &Self) -> Vec<&'static str> {
        let (ours, theirs) = (&self.destination, &before.destination);
        let differs = [
            ("context", self.target.context != before.target.context),
            ("cluster", !Arc::ptr_eq(&ours.upstreams, &theirs.upstreams)),
            ("user", !Arc::ptr_eq(&ours.credentials, &theirs.credentials)),
            ("user to act as", ours.impersonation != theirs.impersonation),
        ];
        let news = differs.into_iter().filter(|(_, differs)| *differs);
        news.map(|(what, _)| what).collect()
    }

    fn tell(&self, news: &[&str], asked: bool) {
        let server = &self.target.cluster.server;
        let context = self.target.context.as_deref().unwrap_or_default();
        if !news.is_empty() {
            let news = news.join(", ");
            tracing::info!(%server, context, "reloaded; changed: {news}");
        } else if asked {
            tracing::info!(%server, context, "reloaded; nothing changed");
        } else {
            tracing::debug!("files changed, and nothing that matters here");
        }
    }
}

/// Whether what the files say cannot be used, and why.
#[derive(Default)]
struct Broken(Option<String>);

impl Broken {
    fn is(&self) -> bool {
        self.0.is_some()
    }

    /// One warning for each time that files break; while they are edited on, what is wrong may
    /// differ.
    fn tell(&mut self, error: &dyn std::error::Error, asked: bool) {
        let mut why = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            why = format!("{why}: {error}");
            cause = error.source();
        }
        if self.0.is_none() || asked {
            tracing::warn!("not reloaded, the last good configuration stays: {why}");
        } else if self.0.as_ref() != Some(&why) {
            tracing::info!("still not reloaded: {why}");
        }
        self.0 = Some(why);
    }

    fn mended(&mut self) {
        if self.0.take().is_some() {
            tracing::info!("the configuration can be used again");
        }
    }
}
