//! Bodies of watches, which end between two events, never inside one, when the proxy drains.

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

/// Among the extensions of a response to a watch.
#[derive(Clone, Copy, Debug)]
pub struct WatchResponse;

/// How the events in a watch's body are delimited.
#[derive(Debug, PartialEq, Eq)]
enum Framing {
    /// One JSON text a line. `inside` while a line has not ended.
    Lines { inside: bool },
    /// Each event follows its length, four bytes, big-endian (Kubernetes' protobuf streams).
    Lengths { header: Vec<u8>, left: usize },
    /// An unknown format: no position is known to be between two events.
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
            Self::Lines { inside: false }
        } else if content_type.starts_with("application/vnd.kubernetes.protobuf") {
            Self::Lengths {
                header: Vec::with_capacity(4),
                left: 0,
            }
        } else {
            Self::Unknown
        }
    }

    fn read(&mut self, mut data: &[u8]) {
        match self {
            Self::Unknown => {}
            Self::Lines { inside } => {
                if let Some(last) = data.last() {
                    *inside = *last != b'\n';
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
            Self::Lines { inside } => !inside,
            Self::Lengths { header, left } => header.is_empty() && *left == 0,
            Self::Unknown => false,
        }
    }
}

/// A watch's body, which passes unchanged until the drain.
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
        // Even while events keep coming: the client continues its watch from the last one.
        if self.framing.is_between_events() && self.draining.as_mut().poll(cx).is_ready() {
            self.ended = true;
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut self.events).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.framing.read(data);
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
    fn an_unfinished_line_is_inside_an_event() {
        let mut lines = framing("application/json;stream=watch");
        assert!(lines.is_between_events());
        lines.read(b"{\"type\":\"ADDED\"}\n{\"ty");
        assert!(!lines.is_between_events());
        lines.read(b"pe\":\"ADDED\"}\n");
        assert!(lines.is_between_events());
    }

    #[test]
    fn lengths_are_followed_across_frames() {
        let mut lengths = framing("application/vnd.kubernetes.protobuf;stream=watch");
        assert!(lengths.is_between_events());
        lengths.read(&[0, 0]);
        assert!(!lengths.is_between_events());
        lengths.read(&[0, 3, b'\n']);
        assert!(!lengths.is_between_events());
        lengths.read(&[1, 2, 0, 0, 0, 1, 9]);
        assert!(lengths.is_between_events());
    }

    #[test]
    fn an_unknown_framing_has_no_known_boundary() {
        let mut unknown = framing("application/cbor-seq");
        unknown.read(b"\n");
        assert!(!unknown.is_between_events());

        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "application/json".parse().unwrap());
        headers.insert(CONTENT_ENCODING, "gzip".parse().unwrap());
        assert_eq!(Framing::of(&headers), Framing::Unknown);
    }
}
