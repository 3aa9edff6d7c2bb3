//! [`BodySender`]: a request's body on its way to the server.

use std::{
    future::{Future, poll_fn},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, SendStream};

use crate::upstream::body::RequestBody;

/// Reads a body from the client as fast as the server takes it.
pub(super) struct BodySender {
    stream: SendStream<Bytes>,
    body: RequestBody,
    /// Data that the server has no window for yet, and whether it is the last.
    waiting: Option<(Bytes, bool)>,
    done: bool,
}

impl BodySender {
    pub(super) fn new(stream: SendStream<Bytes>, body: RequestBody) -> Self {
        Self {
            stream,
            body,
            waiting: None,
            done: false,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// The body from its beginning, where it can go back there.
    pub(super) fn into_body(mut self) -> Option<RequestBody> {
        self.body.rewind().then_some(self.body)
    }

    /// Ready when all was sent, or the server takes no more.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.done {
            // After an error the server has ended the stream, and the response tells how.
            self.done = ready!(self.poll_frame(cx)).unwrap_or(true);
        }
        Poll::Ready(())
    }

    /// Sends one frame. Yields whether it was the last.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, h2::Error>> {
        // Polled first, so that the task is woken when the server ends the stream while there is
        // nothing to send.
        if self.stream.poll_reset(cx)?.is_ready() {
            return Poll::Ready(Ok(true));
        }
        if self.waiting.is_some() {
            while self.stream.capacity() == 0 {
                match ready!(self.stream.poll_capacity(cx)) {
                    Some(capacity) => capacity?,
                    None => return Poll::Ready(Ok(true)),
                };
            }
        }
        if let Some((data, last)) = self.waiting.take() {
            self.stream.send_data(data, last)?;
            return Poll::Ready(Ok(last));
        }
        let frame = match ready!(self.body.poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(_)) => {
                self.stream.send_reset(Reason::CANCEL);
                return Poll::Ready(Ok(true));
            }
            None => {
                self.stream.send_data(Bytes::new(), true)?;
                return Poll::Ready(Ok(true));
            }
        };
        let last = self.body.is_end_stream();
        match frame.into_data() {
            Ok(data) if data.is_empty() && !last => {}
            Ok(data) if data.is_empty() => self.stream.send_data(data, true)?,
            Ok(data) => {
                // Capacity is claimed only when there is something to send; `send_data` claims
                // the rest.
                self.stream.reserve_capacity(1);
                self.waiting = Some((data, last));
                return Poll::Ready(Ok(false));
            }
            Err(frame) => {
                self.stream.reserve_capacity(0);
                if let Ok(trailers) = frame.into_trailers() {
                    self.stream.send_trailers(trailers)?;
                }
                return Poll::Ready(Ok(true));
            }
        }
        Poll::Ready(Ok(last))
    }

    /// Sends the rest.
    pub(super) fn finish(mut self) -> impl Future<Output = ()> + Send + 'static {
        poll_fn(move |cx| self.poll(cx))
    }
}
