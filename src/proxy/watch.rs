//! Watches end cleanly when we drain: between two events, never inside one.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use http_body::{Body, Frame};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::upstream::{ResponseBody, ResponseBodyError};

/// Marks the answer to a watch, among its extensions.
#[derive(Clone, Copy, Debug)]
pub struct WatchResponse;

/// How events follow one another in a watch's body.
#[derive(Debug, PartialEq, Eq)]
enum Framing {
    /// One JSON text a line.
    Lines { within: bool },
    /// Each event behind its length, four bytes, big-endian (Kubernetes' protobuf streams).
    Lengths { header: Vec<u8>, left: usize },
    /// Not known to us: no place is known to be between two events.
    Unknown,
}

impl Framing {
    fn of(headers: &HeaderMap) -> Self {
        let content_type = headers
            .get(CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default();
        if headers.contains_key(CONTENT_ENCODING) {
            Self::Unknown
        } else if content_type.starts_with("application/json") {
            Self::Lines { within: false }
        } else if content_type.starts_with("application/vnd.kubernetes.protobuf") {
            Self::Lengths {
                header: Vec::with_capacity(4),
                left: 0,
            }
        } else {
            Self::Unknown
        }
    }

    fn pass(&mut self, mut data: &[u8]) {
        match self {
            Self::Unknown => {}
            Self::Lines { within } => {
                if let Some(last) = data.last() {
                    *within = *last != b'\n';
                }
            }
            Self::Lengths { header, left } => {
                while !data.is_empty() {
                    if *left > 0 {
                        let n = data.len().min(*left);
                        data = &data[n..];
                        *left -= n;
                        continue;
                    }
                    header.push(data[0]);
                    data = &data[1..];
                    if let [a, b, c, d] = header[..] {
                        *left = u32::from_be_bytes([a, b, c, d]) as usize;
                        header.clear();
                    }
                }
            }
        }
    }

    fn is_between_events(&self) -> bool {
        match self {
            Self::Lines { within } => !within,
            Self::Lengths { header, left } => header.is_empty() && *left == 0,
            Self::Unknown => false,
        }
    }
}

/// A watch's body: as it comes, until the drain.
pub struct WatchBody {
    events: ResponseBody,
    framing: Framing,
    draining: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: bool,
}

impl WatchBody {
    pub(super) fn new(events: ResponseBody, headers: &HeaderMap, drain: CancellationToken) -> Self {
        Self {
            events,
            framing: Framing::of(headers),
            draining: Box::pin(drain.cancelled_owned()),
            ended: false,
        }
    }
}

impl Body for WatchBody {
    type Data = Bytes;
    type Error = ResponseBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseBodyError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        // At once, even where events keep coming: the client watches on from the last one.
        if self.framing.is_between_events() && self.draining.as_mut().poll(cx).is_ready() {
            self.ended = true;
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut self.events).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.framing.pass(data);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.events.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn framing(content_type: &'static str) -> Framing {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        Framing::of(&headers)
    }

    #[test]
    fn a_line_that_has_not_ended_is_within_an_event() {
        let mut lines = framing("application/json;stream=watch");
        assert!(lines.is_between_events());
        lines.pass(b"{\"type\":\"ADDED\"}\n{\"ty");
        assert!(!lines.is_between_events());
        lines.pass(b"pe\":\"ADDED\"}\n");
        assert!(lines.is_between_events());
    }

    #[test]
    fn lengths_are_followed_across_frames() {
        let mut lengths = framing("application/vnd.kubernetes.protobuf;stream=watch");
        assert!(lengths.is_between_events());
        lengths.pass(&[0, 0]);
        assert!(!lengths.is_between_events());
        lengths.pass(&[0, 3, b'\n']);
        assert!(!lengths.is_between_events());
        lengths.pass(&[1, 2, 0, 0, 0, 1, 9]);
        assert!(lengths.is_between_events());
    }

    #[test]
    fn an_unknown_framing_has_no_known_boundary() {
        let mut unknown = framing("application/cbor-seq");
        unknown.pass(b"\n");
        assert!(!unknown.is_between_events());

        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "application/json".parse().unwrap());
        headers.insert(CONTENT_ENCODING, "gzip".parse().unwrap());
        assert_eq!(Framing::of(&headers), Framing::Unknown);
    }
}
