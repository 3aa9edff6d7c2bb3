//! A request's body on its way to the server.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body as _;

use crate::upstream::RequestBody;

/// Takes a body from the client as fast as the server takes it from us.
pub(super) struct Sending {
    stream: SendStream<Bytes>,
    body: RequestBody,
    /// What the server has no room for yet, and whether it is the last.
    waiting: Option<(Bytes, bool)>,
    done: bool,
}

impl Sending {
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

    /// The body from its beginning, where that is still to be had.
    pub(super) fn into_body(mut self) -> Option<RequestBody> {
        self.body.rewind().then_some(self.body)
    }

    /// Ready when nothing is left to send, or nobody to send it to.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.done {
            // Where it fails, the server has ended the stream, and the answer tells how.
            self.done = ready!(self.poll_step(cx)).unwrap_or(true);
        }
        Poll::Ready(())
    }

    /// Sends one frame; whether it was the last.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, h2::Error>> {
        // Also to be woken when the server ends the stream while there is nothing to send.
        if self.stream.poll_reset(cx)?.is_ready() {
            return Poll::Ready(Ok(true));
        }
        if self.waiting.is_some() {
            while self.stream.capacity() == 0 {
                match ready!(self.stream.poll_capacity(cx)) {
                    Some(room) => room?,
                    None => return Poll::Ready(Ok(true)),
                };
            }
        }
        if let Some((data, last)) = self.waiting.take() {
            self.stream.send_data(data, last)?;
            return Poll::Ready(Ok(last));
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
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
                // What the server allows in all is not claimed before there is something to
                // send, and the rest of the claim is made by `send_data`.
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

    /// Until it is done.
    pub(super) fn finish(mut self) -> impl Future<Output = ()> + Send + 'static {
        poll_fn(move |cx| self.poll(cx))
    }
}
