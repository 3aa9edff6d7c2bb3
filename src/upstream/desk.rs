//! [`Desk`]: who waits for a connection, and what is under way for them.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use http::HeaderValue;
use tokio::{sync::oneshot, time::Instant};

use super::{
    Error, TrafficClass,
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
    /// Requests of clients that have their share of a server's HTTP/1.1 connections, oldest first.
    held_back: VecDeque<Waiter>,
    last_id: u64,
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
    pub(super) id: u64,
    pub(super) kind: TrafficClass,
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

    /// Makes a waiter, and gives the receiver of what it waits for.
    pub(super) fn waiter(
        &mut self,
        kind: TrafficClass,
        client: Option<HeaderValue>,
        asked: Instant,
    ) -> (Waiter, oneshot::Receiver<Result<Lease, Error>>) {
        self.last_id += 1;
        let (reply, answered) = oneshot::channel();
        let waiter = Waiter {
            id: self.last_id,
            kind,
            client,
            asked,
            reply,
        };
        (waiter, answered)
    }

    /// Has a request wait until its client has less than its share.
    pub(super) fn hold_back(&mut self, waiter: Waiter) {
        self.held_back.retain(|waiter| !waiter.reply.is_closed());
        self.held_back.push_back(waiter);
    }

    pub(super) fn is_held_back(&self, id: u64) -> bool {
        self.held_back.iter().any(|waiter| waiter.id == id)
    }

    /// How many requests wait for an HTTP/1.1 connection, those that are held back included.
    pub(super) fn queueing(&self) -> usize {
        self.lines[Class::Http1 as usize].waiting.len() + self.held_back.len()
    }

    /// Puts requests that were held back into the line for HTTP/1.1, for each client up to
    /// `share`. `busy_for` counts the connections that a client has.
    pub(super) fn admit(&mut self, share: usize, busy_for: impl Fn(Option<&HeaderValue>) -> usize) {
        let waiting = &mut self.lines[Class::Http1 as usize].waiting;
        let mut usage = Usage::default();
        let mut at = 0;
        while let Some(waiter) = self.held_back.get(at) {
            if waiter.reply.is_closed() {
                self.held_back.remove(at);
                continue;
            }
            let client = waiter.client.as_ref();
            let used = usage.of(client, || {
                let waiting = waiting.iter().filter(|w| w.client.as_ref() == client);
                waiting.count() + busy_for(client)
            });
            if *used < share {
                *used += 1;
                waiting.extend(self.held_back.remove(at));
            } else {
                at += 1;
            }
        }
    }

    /// Takes out of the line for HTTP/1.1 what is more than `share` for one client.
    pub(super) fn hold_back_excess(
        &mut self,
        share: usize,
        busy_for: impl Fn(Option<&HeaderValue>) -> usize,
    ) {
        let waiting = &mut self.lines[Class::Http1 as usize].waiting;
        let mut usage = Usage::default();
        for waiter in std::mem::take(waiting) {
            let client = waiter.client.as_ref();
            let used = usage.of(client, || busy_for(client));
            if waiter.kind == TrafficClass::Long || *used < share {
                *used += usize::from(waiter.kind != TrafficClass::Long);
                waiting.push_back(waiter);
            } else {
                self.held_back.push_back(waiter);
            }
        }
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

/// How many HTTP/1.1 connections each client has or waits for. There are few clients.
#[derive(Default)]
struct Usage(Vec<(Option<HeaderValue>, usize)>);

impl Usage {
    /// The entry of `client`, made by `count` where there is none yet.
    fn of(&mut self, client: Option<&HeaderValue>, count: impl FnOnce() -> usize) -> &mut usize {
        let at = self.0.iter().position(|(by, _)| by.as_ref() == client);
        let at = at.unwrap_or_else(|| {
            self.0.push((client.cloned(), count()));
            self.0.len() - 1
        });
        &mut self.0[at].1
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
