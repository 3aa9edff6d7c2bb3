//! The responses of a [`super::Served`].

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header::UPGRADE};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::{
    io::AsyncWriteExt as _,
    time::{interval, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{Frames, served::Record};

/// Responds according to the path of the request. A watch ends after `events` events, or never if
/// that is 0.
pub(super) async fn response(
    request: Request<Incoming>,
    events: usize,
    record: Arc<Record>,
    cut: CancellationToken,
) -> Response<ResponseBody> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    if request.headers().contains_key(UPGRADE) {
        return echo(request, cut);
    }
    if request.method() == Method::POST {
        *record
            .posts
            .lock()
            .unwrap()
            .entry(path.clone())
            .or_default() += 1;
        // If the client fails meanwhile, there is no response in any case.
        let mut body = request.into_body();
        while let Some(Ok(frame)) = body.frame().await {
            let read = frame.data_ref().map_or(0, Bytes::len);
            record.read.fetch_add(read, Ordering::SeqCst);
        }
        return Response::new(ResponseBody::text("created"));
    }
    let number = path.rsplit('/').next().and_then(|last| last.parse().ok());
    let number: usize = number.unwrap_or_default();
    if query.contains("watch") {
        return watch(events);
    }
    match path.split('/').nth(1).unwrap_or_default() {
        // Responds after this number of milliseconds.
        "slow" => {
            sleep(Duration::from_millis(number as u64)).await;
            Response::new(ResponseBody::text("slow"))
        }
        // Sends this number of bytes as fast as the client reads.
        "flow" => Response::new(ResponseBody::Flow(number, record.sent.clone())),
        // Sends the head and the start of the body, and nothing more.
        "stall" => Response::new(ResponseBody::Frames(stalled())),
        "requests" => {
            let requests = record.requests.load(Ordering::SeqCst);
            Response::new(ResponseBody::text(requests.to_string()))
        }
        _ => Response::new(ResponseBody::text("ok")),
    }
}

/// Sends an event at once, and one every 100 ms.
fn watch(events: usize) -> Response<ResponseBody> {
    let (sender, frames) = Frames::channel();
    tokio::spawn(async move {
        let mut ticks = interval(Duration::from_millis(100));
        for number in 1.. {
            ticks.tick().await;
            let event = format!("{{\"type\":\"ADDED\",\"number\":{number}}}\n");
            if sender.send(Frame::data(event.into())).is_err() || number == events {
                return;
            }
        }
    });
    let response = Response::builder().header("content-type", "application/json");
    response.body(ResponseBody::Frames(frames)).unwrap()
}

/// A body that stalls after its first part.
fn stalled() -> Frames {
    let (sender, frames) = Frames::channel();
    sender.send(Frame::data("begun".into())).unwrap();
    tokio::spawn(async move { sender.closed().await });
    frames
}

/// Accepts any upgrade and echoes the bytes of the client.
fn echo(mut request: Request<Incoming>, cut: CancellationToken) -> Response<ResponseBody> {
    let protocol = request.headers()[UPGRADE].clone();
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(cut.run_until_cancelled_owned(async move {
        if let Ok(upgraded) = upgrade.await {
            let (mut reader, mut writer) = tokio::io::split(TokioIo::new(upgraded));
            // An error is the end of the connection.
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
            let _ = writer.shutdown().await;
        }
    }));
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "Upgrade")
        .header(UPGRADE, protocol)
        .body(ResponseBody::text(""))
        .unwrap()
}

/// The body of a response.
pub enum ResponseBody {
    Text(Option<Bytes>),
    /// The number of bytes left to send, and the counter of those that were sent.
    Flow(usize, Arc<AtomicUsize>),
    Frames(Frames),
}

/// A frame of a flow.
static ZEROS: [u8; 16 * 1024] = [b'0'; 16 * 1024];

impl ResponseBody {
    fn text(text: impl Into<Bytes>) -> Self {
        let text = text.into();
        Self::Text((!text.is_empty()).then_some(text))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Flow(0, _) => Poll::Ready(None),
            Self::Flow(left, sent) => {
                let length = ZEROS.len().min(*left);
                *left -= length;
                sent.fetch_add(length, Ordering::SeqCst);
                let data = Bytes::from_static(&ZEROS[..length]);
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Self::Frames(frames) => Pin::new(frames).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Text(None) | Self::Flow(0, _))
    }
}
