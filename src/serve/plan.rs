//! [`Plan`]: what is proxied to, and how to find it again. [`Standing`]: what was found last,
//! made ready.

use std::{error::Error, future::Future, path::PathBuf, pin::Pin, sync::Arc};

use super::lanes;
use crate::{credential::Cache, kubeconfig::Target, proxy::Destination, upstream::Upstream};

/// Why there is nothing to proxy to, or nothing new.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A future that a [`Plan`] returns.
pub type Finding<'a> = Pin<Box<dyn Future<Output = Result<Found, BoxError>> + Send + 'a>>;

/// What a [`Plan`] found.
#[derive(Debug)]
pub struct Found {
    /// The API server and the user.
    pub target: Target,
    /// The files that said so; when one of them changes, the plan is asked again. Those that
    /// `target` names as authorities, or that the credentials stand on, need not be told.
    pub files: Vec<PathBuf>,
}

/// One way to know what to proxy to. It may be asked many times.
pub trait Plan: Send + Sync + 'static {
    /// Finds the API server and the user as they are now. Asked after every change of the files
    /// it named, and every second while it, or what it found, cannot be used.
    fn find(&self) -> Finding<'_>;

    /// Something like what will be found, by which flags can be checked, where finding it means to
    /// ask somebody over the network: the proxy then does not wait for that at its start.
    fn sample(&self) -> Option<&Target> {
        None
    }

    /// Makes the credentials for what was found. May block on files.
    ///
    /// # Errors
    /// Where something the user names cannot be used.
    fn credentials(&self, target: &Target) -> Result<Arc<Cache>, BoxError>;

    /// Whether the credentials that were made for `before` are as good for `now`.
    fn keeps_credentials(&self, before: &Target, now: &Target) -> bool;
}

/// Makes the way to a target's API server.
pub type Connect = Box<dyn Fn(&Target) -> Result<Upstream, BoxError> + Send + Sync>;

/// Where requests go, and what says so.
pub struct Standing {
    pub(super) ways: Arc<Ways>,
    pub(super) place: Place,
}

/// How what is proxied to is found and made ready.
pub(super) struct Ways {
    pub(super) plan: Box<dyn Plan>,
    connect: Connect,
}

/// What was made of the plan when it was asked last.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) target: Target,
    pub(super) destination: Destination,
    pub(super) files: Vec<PathBuf>,
}

impl Standing {
    /// Asks `plan` for the first time.
    ///
    /// # Errors
    /// What the plan says; what cannot be used of what it found.
    pub async fn first(plan: Box<dyn Plan>, connect: Connect) -> Result<Self, BoxError> {
        let ways = Arc::new(Ways::new(plan, connect));
        let found = ways.plan.find().await?;
        let place = ways.make(found, None)?;
        Ok(Self { ways, place })
    }

    /// The API server and the user.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.place.target
    }

    /// Where requests are to go.
    #[must_use]
    pub fn destination(&self) -> &Destination {
        &self.place.destination
    }
}

impl Ways {
    pub(super) fn new(plan: Box<dyn Plan>, connect: Connect) -> Self {
        Self { plan, connect }
    }

    /// Makes ready what was found, and keeps of `before` what is as good as new.
    pub(super) fn make(&self, found: Found, before: Option<&Place>) -> Result<Place, BoxError> {
        let Found {
            mut target,
            mut files,
        } = found;
        files.extend(target.authority_files());
        // Only with its content does a changed file make another cluster.
        if let Some(authority) = &mut target.cluster.certificate_authority {
            *authority = authority.inlined()?;
        }
        let same_user = |before: &&Place| self.plan.keeps_credentials(&before.target, &target);
        let same_cluster = |before: &&Place| before.target.cluster == target.cluster;
        let credentials = match before.filter(same_user) {
            Some(before) => Arc::clone(&before.destination.credentials),
            None => self.plan.credentials(&target)?,
        };
        let upstreams = match before.filter(same_cluster) {
            Some(before) => Arc::clone(&before.destination.upstreams),
            None => one_a_lane((self.connect)(&target)?)?,
        };
        files.extend(credentials.files());
        Ok(Place {
            destination: Destination {
                impersonation: target.user.impersonation.clone(),
                credentials,
                upstreams,
            },
            target,
            files,
        })
    }
}

fn one_a_lane(first: Upstream) -> Result<Arc<[Arc<Upstream>]>, BoxError> {
    let mut upstreams = Vec::with_capacity(lanes::count());
    for _ in 1..lanes::count() {
        upstreams.push(Arc::new(first.again()?));
    }
    upstreams.push(Arc::new(first));
    Ok(upstreams.into())
}
