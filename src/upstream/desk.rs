//! [`Desk`]: who waits for a connection, and what is under way for them.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use http::HeaderValue;
use tokio::{sync::oneshot, time::Instant};

use super::{
    Error, Kind,
    circuit::Circuit,
    link::Link,
    pool::{Lease, Ride},
};

/// Which connections a request travels on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Short,
    Long,
    Http1,
}

pub(super) const CLASSES: [Class; 3] = [Class::Short, Class::Long, Class::Http1];

#[derive(Default)]
pub(super) struct Desk {
    lines: [Line; 3],
    pub(super) circuit: Circuit,
    /// A task looks whether the server is back,
    pub(super) looking: bool,
    /// and is at it right now.
    pub(super) attempting: bool,
}

#[derive(Default)]
pub(super) struct Line {
    pub(super) waiting: VecDeque<Waiter>,
    pub(super) openings: usize,
}

pub(super) struct Waiter {
    pub(super) kind: Kind,
    /// Who asks, where that is known.
    pub(super) client: Option<HeaderValue>,
    pub(super) asked: Instant,
    pub(super) reply: oneshot::Sender<Result<Lease, Error>>,
}

impl Desk {
    pub(super) fn line(&mut self, class: Class) -> &mut Line {
        &mut self.lines[class as usize]
    }

    /// The first line in which somebody waits.
    pub(super) fn first_line(&self) -> Option<Class> {
        CLASSES
            .into_iter()
            .find(|class| !self.lines[*class as usize].waiting.is_empty())
    }

    /// Has those who wait in one line wait in another, and says how many they are.
    pub(super) fn move_line(&mut self, from: Class, to: Class) -> usize {
        let waiting = std::mem::take(&mut self.line(from).waiting);
        let moved = waiting.len();
        self.line(to).waiting.extend(waiting);
        moved
    }

    /// Tells those who waited since before `began`, unless something else is under way for them.
    pub(super) fn fail(&mut self, began: Instant, error: &Error) {
        for line in self.lines.iter_mut().filter(|line| line.openings == 0) {
            let waiting = std::mem::take(&mut line.waiting);
            for waiter in waiting {
                if waiter.asked <= began {
                    // Who does not wait any more need not know.
                    let _ = waiter.reply.send(Err(error.clone()));
                } else {
                    line.waiting.push_back(waiter);
                }
            }
        }
    }

    /// How long until the next attempt; none is needed where nobody waits or asks.
    pub(super) fn pause(&mut self, now: Instant) -> Option<Duration> {
        if !self.circuit.is_down() {
            return None;
        }
        if self.first_line().is_some() && !self.circuit.has_grace(now) {
            // They asked after the last attempt had begun.
            return Some(self.circuit.soonest(now));
        }
        self.circuit.pause(now, crate::jitter::fraction())
    }
}

impl Line {
    /// Gives the streams of a new connection to those who wait for one.
    pub(super) fn serve_http2(&mut self, link: &Arc<Link>) {
        let mut first = true;
        while let Some(waiter) = self.waiting.pop_front() {
            if waiter.reply.is_closed() {
                continue;
            }
            let stream = if std::mem::take(&mut first) {
                Some(link.reserve_first())
            } else {
                link.reserve()
            };
            let Some(stream) = stream else {
                self.waiting.push_front(waiter);
                break;
            };
            // Where nobody waits any more, the lease gives its place back.
            let lease = Lease::Http2(Ride::new(stream, Arc::clone(link)));
            let _ = waiter.reply.send(Ok(lease));
        }
    }
}
