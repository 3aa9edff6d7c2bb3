//! [`Recording`]: a client's body that can be read a second time.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::client::{ClientBody, ClientBodyFailure, RequestBodyError};

/// The most that a [`Recording`] keeps, in bytes.
const LIMIT: usize = 64 * 1024;

/// A client's body that can be read a second time: what was read of it is kept, up to 64 KiB, and
/// the rest is still to come from the client.
#[derive(Clone)]
pub(super) struct Recording(Arc<Mutex<State>>);

struct State {
    body: ClientBody,
    /// The size of all of it, which `body` forgets as it is read.
    size: SizeHint,
    /// `None` once the limit was passed.
    frames: Option<Vec<Recorded>>,
    bytes: usize,
    ended: bool,
    /// The number of the only playback that may read.
    current: usize,
    /// Wakes that playback when another takes its place.
    reader: Option<Waker>,
}

enum Recorded {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Recording {
    pub(super) fn new(body: ClientBody) -> Self {
        Self(Arc::new(Mutex::new(State {
            size: body.size_hint(),
            body,
            frames: Some(Vec::new()),
            bytes: 0,
            ended: false,
            current: 0,
            reader: None,
        })))
    }

    /// The body from its beginning. Only the latest playback may read.
    pub(super) fn playback(&self) -> Playback {
        let state = self.lock();
        Playback {
            size: state.size,
            failure: state.body.failure().clone(),
            number: state.current,
            position: 0,
            recording: self.clone(),
        }
    }

    /// As [`Self::playback`], for another attempt: the playback before fails from here on. `None`
    /// where more was read than is kept.
    pub(super) fn replay(&self) -> Option<Playback> {
        let mut state = self.lock();
        state.frames.as_ref()?;
        state.current += 1;
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
        drop(state);
        Some(self.playback())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One reading of a client's body that is recorded.
pub struct Playback {
    recording: Recording,
    position: usize,
    size: SizeHint,
    failure: ClientBodyFailure,
    number: usize,
}

impl Playback {
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let mut state = self.recording.lock();
        if self.number != state.current {
            return Poll::Ready(Some(Err(RequestBodyError::SentAgain)));
        }
        let recorded = state.frames.as_ref().and_then(|f| f.get(self.position));
        if let Some(recorded) = recorded {
            self.position += 1;
            return Poll::Ready(Some(Ok(recorded.frame())));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        let polled = state.body.poll_frame(cx);
        state.reader = polled.is_pending().then(|| cx.waker().clone());
        let Some(frame) = ready!(polled) else {
            state.ended = true;
            return Poll::Ready(None);
        };
        let frame = frame?;
        state.record(&frame);
        self.position += 1;
        Poll::Ready(Some(Ok(frame)))
    }

    /// Goes back to the beginning, where all of what was read is kept.
    pub(super) fn rewind(&mut self) -> bool {
        let state = self.recording.lock();
        let can = self.number == state.current && state.frames.is_some();
        if can {
            self.position = 0;
        }
        can
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let state = self.recording.lock();
        let played = state
            .frames
            .as_ref()
            .is_none_or(|frames| self.position >= frames.len());
        played && (state.ended || state.body.is_end_stream())
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.size
    }

    pub(super) fn failure(&self) -> &ClientBodyFailure {
        &self.failure
    }
}

impl State {
    fn record(&mut self, frame: &Frame<Bytes>) {
        self.bytes += frame.data_ref().map_or(0, Bytes::len);
        if self.bytes > LIMIT {
            self.frames = None;
        }
        let Some(frames) = &mut self.frames else {
            return;
        };
        if let Some(data) = frame.data_ref() {
            frames.push(Recorded::Data(data.clone()));
        } else if let Some(trailers) = frame.trailers_ref() {
            frames.push(Recorded::Trailers(trailers.clone()));
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
