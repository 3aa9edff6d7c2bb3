//! [`WaitQueues`]: the requests that wait for a connection.
//!
//! A server that speaks HTTP/1.1 alone gets a limited number of connections. A client that has or
//! waits for its share of them is held back, so that others get through.

use std::{collections::VecDeque, sync::Arc};

use http::HeaderValue;
use tokio::{sync::oneshot, time::Instant};

use super::{
    connections::Connections, http2_connections::PooledConnection, key::PoolKey, lease::Lease,
};
use crate::upstream::{error::Error, traffic_class::TrafficClass};

/// The requests that wait for a connection.
#[derive(Default)]
pub(super) struct WaitQueues {
    queues: [WaitQueue; 3],
    /// Requests of clients that have their share of a server's HTTP/1.1 connections, oldest first.
    held_back: VecDeque<Waiter>,
    last_id: u64,
}

/// The requests that wait for connections of one key, oldest first.
#[derive(Default)]
pub(super) struct WaitQueue {
    waiters: VecDeque<Waiter>,
    /// Connections that are being opened for them.
    pub(super) opening: usize,
}

/// A request that waits for a connection.
pub(super) struct Waiter {
    pub(super) id: u64,
    pub(super) class: TrafficClass,
    /// The client's address, where it is known.
    pub(super) client: Option<HeaderValue>,
    since: Instant,
    pub(super) reply: oneshot::Sender<Result<Lease, Error>>,
}

/// The outcome for a request that needs a connection.
pub(super) enum Enqueued {
    /// A connection became free in the meantime.
    Ready(Lease),
    /// The request waits for a lease.
    Waiting {
        /// Identifies the request, as [`Waiter::id`] does.
        id: u64,
        /// Receives the lease.
        receiver: oneshot::Receiver<Result<Lease, Error>>,
        /// It waits until its client uses fewer connections.
        held_back: bool,
    },
}

impl WaitQueues {
    pub(super) fn queue(&mut self, key: PoolKey) -> &mut WaitQueue {
        &mut self.queues[key as usize]
    }

    /// The first key for which a request waits.
    pub(super) fn first_waiting(&self) -> Option<PoolKey> {
        PoolKey::ALL
            .into_iter()
            .find(|key| !self.queues[*key as usize].waiters.is_empty())
    }

    /// Makes a waiter, and the receiver of its lease.
    pub(super) fn waiter(
        &mut self,
        class: TrafficClass,
        client: Option<HeaderValue>,
        since: Instant,
    ) -> (Waiter, oneshot::Receiver<Result<Lease, Error>>) {
        self.last_id += 1;
        let (reply, receiver) = oneshot::channel();
        let waiter = Waiter {
            id: self.last_id,
            class,
            client,
            since,
            reply,
        };
        (waiter, receiver)
    }

    /// Moves all waiters of one queue to another. Returns how many there were.
    pub(super) fn move_waiters(&mut self, from: PoolKey, to: PoolKey) -> usize {
        let waiters = std::mem::take(&mut self.queue(from).waiters);
        let moved = waiters.len();
        self.queue(to).waiters.extend(waiters);
        moved
    }

    /// Fails the waiters of before `began`, unless a connection is being opened for them.
    pub(super) fn fail(&mut self, began: Instant, error: &Error) {
        for queue in self.queues.iter_mut().filter(|queue| queue.opening == 0) {
            for waiter in std::mem::take(&mut queue.waiters) {
                if waiter.since <= began {
                    // An error means that the request is not waiting any more.
                    let _ = waiter.reply.send(Err(error.clone()));
                } else {
                    queue.waiters.push_back(waiter);
                }
            }
        }
    }

    /// Gives idle HTTP/1.1 connections to the requests that wait for one.
    pub(super) fn serve_http1(&mut self, connections: &Connections) {
        let queue = self.queue(PoolKey::Http1);
        while let Some(waiter) = queue.pop() {
            let Some(lease) = connections.http1().lease(waiter.class) else {
                queue.push_front(waiter);
                break;
            };
            // Counted at once, since the count decides which waiting requests are admitted next.
            lease.count_for(waiter.client.as_ref());
            if let Err(Ok(Lease::Http1(lease))) = waiter.reply.send(Ok(Lease::Http1(lease))) {
                // In a task, since the end of a lease needs these queues, which are locked.
                tokio::spawn(async move { lease.release() });
            }
        }
    }

    /// Gives streams to requests that wait for HTTP/1.1. A server that takes no more connections may
    /// allow streams on those that it has.
    pub(super) fn serve_http1_waiters_over_http2(&mut self, connections: &Connections) {
        let queue = self.queue(PoolKey::Http1);
        while let Some(waiter) = queue.pop() {
            let Some((lease, _)) = connections.http2(PoolKey::Short).lease() else {
                queue.push_front(waiter);
                break;
            };
            // A lease that is not received gives its stream back.
            let _ = waiter.reply.send(Ok(Lease::Http2(lease)));
        }
    }

    /// Has a request wait until its client has less than its share.
    pub(super) fn hold_back(&mut self, waiter: Waiter) {
        self.held_back.retain(|waiter| !waiter.reply.is_closed());
        self.held_back.push_back(waiter);
    }

    pub(super) fn is_held_back(&self, id: u64) -> bool {
        self.held_back.iter().any(|waiter| waiter.id == id)
    }

    /// The number of requests that wait for an HTTP/1.1 connection, including those held back.
    pub(super) fn waiting_for_http1(&self) -> usize {
        self.queues[PoolKey::Http1 as usize].waiters.len() + self.held_back.len()
    }

    /// Moves requests that were held back into the queue for HTTP/1.1, for each client up to
    /// `share`. `busy_for` counts the connections that a client uses.
    pub(super) fn admit(&mut self, share: usize, busy_for: impl Fn(Option<&HeaderValue>) -> usize) {
        let waiters = &mut self.queues[PoolKey::Http1 as usize].waiters;
        let mut usage = Usage::default();
        let mut index = 0;
        while let Some(waiter) = self.held_back.get(index) {
            if waiter.reply.is_closed() {
                self.held_back.remove(index);
                continue;
            }
            let client = waiter.client.as_ref();
            let used = usage.of(client, || {
                let waiting = waiters.iter().filter(|w| w.client.as_ref() == client);
                waiting.count() + busy_for(client)
            });
            if *used < share {
                *used += 1;
                waiters.extend(self.held_back.remove(index));
            } else {
                index += 1;
            }
        }
    }

    /// Takes out of the queue for HTTP/1.1 what is more than `share` for one client.
    pub(super) fn hold_back_excess(
        &mut self,
        share: usize,
        busy_for: impl Fn(Option<&HeaderValue>) -> usize,
    ) {
        let waiters = &mut self.queues[PoolKey::Http1 as usize].waiters;
        let mut usage = Usage::default();
        for waiter in std::mem::take(waiters) {
            let client = waiter.client.as_ref();
            let used = usage.of(client, || busy_for(client));
            let counted = waiter.class != TrafficClass::Long;
            if !counted || *used < share {
                *used += usize::from(counted);
                waiters.push_back(waiter);
            } else {
                self.held_back.push_back(waiter);
            }
        }
    }
}

/// The number of HTTP/1.1 connections that each client uses or waits for. There are few clients.
#[derive(Default)]
struct Usage(Vec<(Option<HeaderValue>, usize)>);

impl Usage {
    /// The number for `client`, which is counted at first.
    fn of(&mut self, client: Option<&HeaderValue>, count: impl FnOnce() -> usize) -> &mut usize {
        let index = self.0.iter().position(|(by, _)| by.as_ref() == client);
        let index = index.unwrap_or_else(|| {
            self.0.push((client.cloned(), count()));
            self.0.len() - 1
        });
        &mut self.0[index].1
    }
}

impl WaitQueue {
    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiter> {
        self.waiters.iter()
    }

    pub(super) fn push(&mut self, waiter: Waiter) {
        self.waiters.retain(|waiter| !waiter.reply.is_closed());
        self.waiters.push_back(waiter);
    }

    /// The oldest request that still waits.
    pub(super) fn pop(&mut self) -> Option<Waiter> {
        while let Some(waiter) = self.waiters.pop_front() {
            if !waiter.reply.is_closed() {
                return Some(waiter);
            }
        }
        None
    }

    /// Puts back the request that [`Self::pop`] took.
    pub(super) fn push_front(&mut self, waiter: Waiter) {
        self.waiters.push_front(waiter);
    }

    /// Gives the streams of a new connection to the requests that wait.
    pub(super) fn serve_http2(&mut self, connection: &Arc<PooledConnection>) {
        let mut first = true;
        while let Some(waiter) = self.pop() {
            let lease = if std::mem::take(&mut first) {
                Some(connection.lease_first())
            } else {
                connection.lease()
            };
            let Some(lease) = lease else {
                self.push_front(waiter);
                break;
            };
            // A lease that is not received gives its stream back.
            let _ = waiter.reply.send(Ok(Lease::Http2(lease)));
        }
    }
}
