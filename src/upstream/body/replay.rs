//! [`Replay`]: a client's body that can be sent a second time.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::{Fault, RequestBody, RequestBodyError, Stream, TrailerFilter, poll_sifted};

/// The most that a [`Replay`] remembers, in bytes.
const LIMIT: usize = 64 * 1024;

/// A client's body that can be sent a second time: what has been read of it is remembered,
/// up to 64 KiB, and the rest is still to come from the client.
#[derive(Clone)]
pub struct Replay(Arc<Mutex<Tape>>);

struct Tape {
    incoming: Incoming,
    sieve: TrailerFilter,
    size: SizeHint,
    /// `None` once the limit was passed.
    recorded: Option<Vec<Recorded>>,
    bytes: usize,
    ended: bool,
    fault: Fault,
    /// Which playback may read.
    turn: usize,
    /// To be woken when its turn is over.
    reader: Option<Waker>,
}

enum Recorded {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Replay {
    /// Begins to remember `incoming`.
    #[must_use]
    pub fn new(incoming: Incoming, sieve: TrailerFilter) -> Self {
        Self::of(Stream {
            incoming,
            sieve,
            fault: Fault::default(),
        })
    }

    pub(super) fn of(stream: Stream) -> Self {
        let Stream {
            incoming,
            sieve,
            fault,
        } = stream;
        Self(Arc::new(Mutex::new(Tape {
            size: incoming.size_hint(),
            incoming,
            sieve,
            recorded: Some(Vec::new()),
            bytes: 0,
            ended: false,
            fault,
            turn: 0,
            reader: None,
        })))
    }

    /// The body from its beginning, or `None` where too much of it has gone by. The playback
    /// before fails from here on.
    #[must_use]
    pub fn play(&self) -> Option<RequestBody> {
        let mut tape = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tape.recorded.as_ref()?;
        tape.turn += 1;
        if let Some(reader) = tape.reader.take() {
            reader.wake();
        }
        drop(tape);
        Some(RequestBody::Replay(self.pass()))
    }

    pub(super) fn pass(&self) -> Playback {
        let tape = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Playback {
            size: tape.size,
            fault: tape.fault.clone(),
            turn: tape.turn,
            tape: self.0.clone(),
            position: 0,
        }
    }
}

/// One pass over a [`Replay`].
pub struct Playback {
    tape: Arc<Mutex<Tape>>,
    position: usize,
    pub(super) size: SizeHint,
    pub(super) fault: Fault,
    turn: usize,
}

impl Playback {
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let mut tape = self.tape.lock().unwrap_or_else(PoisonError::into_inner);
        if self.turn != tape.turn {
            return Poll::Ready(Some(Err(RequestBodyError::SentAgain)));
        }
        if let Some(recorded) = tape.recorded.as_ref().and_then(|r| r.get(self.position)) {
            self.position += 1;
            return Poll::Ready(Some(Ok(recorded.frame())));
        }
        if tape.ended {
            return Poll::Ready(None);
        }
        let sieve = tape.sieve;
        let polled = poll_sifted(&mut tape.incoming, sieve, cx);
        tape.reader = polled.is_pending().then(|| cx.waker().clone());
        let frame = match ready!(polled) {
            Some(Ok(frame)) => frame,
            Some(Err(e)) => return Poll::Ready(Some(Err(self.fault.note(e)))),
            None => {
                tape.ended = true;
                return Poll::Ready(None);
            }
        };
        tape.record(&frame);
        self.position += 1;
        Poll::Ready(Some(Ok(frame)))
    }

    pub(super) fn rewind(&mut self) -> bool {
        let tape = self.tape.lock().unwrap_or_else(PoisonError::into_inner);
        let can = self.turn == tape.turn && tape.recorded.is_some();
        if can {
            self.position = 0;
        }
        can
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let tape = self.tape.lock().unwrap_or_else(PoisonError::into_inner);
        let played = tape
            .recorded
            .as_ref()
            .is_none_or(|recorded| self.position >= recorded.len());
        played && (tape.ended || tape.incoming.is_end_stream())
    }
}

impl Tape {
    fn record(&mut self, frame: &Frame<Bytes>) {
        self.bytes += frame.data_ref().map_or(0, Bytes::len);
        if self.bytes > LIMIT {
            self.recorded = None;
        }
        let Some(recorded) = &mut self.recorded else {
            return;
        };
        if let Some(data) = frame.data_ref() {
            recorded.push(Recorded::Data(data.clone()));
        } else if let Some(trailers) = frame.trailers_ref() {
            recorded.push(Recorded::Trailers(trailers.clone()));
        }
    }
}

impl Recorded {
    fn frame(&self) -> Frame<Bytes> {
        match self {
            Self::Data(data) => Frame::data(data.clone()),
            Self::Trailers(trailers) => Frame::trailers(trailers.clone()),
        }
    }
}
