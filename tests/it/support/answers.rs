//! What a [`super::Served`] answers.

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

/// Answers by the request's path; a watch ends after so many `events`, of which 0 is none.
pub(super) async fn answer(
    request: Request<Incoming>,
    events: usize,
    record: Arc<Record>,
    cut: CancellationToken,
) -> Response<Answer> {
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
        // A client that fails meanwhile gets no answer in any case.
        let mut body = request.into_body();
        while let Some(Ok(frame)) = body.frame().await {
            let read = frame.data_ref().map_or(0, Bytes::len);
            record.read.fetch_add(read, Ordering::SeqCst);
        }
        return Response::new(Answer::text("created"));
    }
    let number = path.rsplit('/').next().and_then(|last| last.parse().ok());
    let number: usize = number.unwrap_or_default();
    if query.contains("watch") {
        return watch(events);
    }
    match path.split('/').nth(1).unwrap_or_default() {
        // After so many milliseconds.
        "slow" => {
            sleep(Duration::from_millis(number as u64)).await;
            Response::new(Answer::text("slow"))
        }
        // So many bytes, as fast as they are taken.
        "flow" => Response::new(Answer::Flow(number, record.sent.clone())),
        // The head, and no more.
        "stall" => Response::new(Answer::Frames(stalled())),
        "requests" => {
            let requests = record.requests.load(Ordering::SeqCst);
            Response::new(Answer::text(requests.to_string()))
        }
        _ => Response::new(Answer::text("ok")),
    }
}

/// An event at once, and one each 100 ms.
fn watch(events: usize) -> Response<Answer> {
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
    response.body(Answer::Frames(frames)).unwrap()
}

/// A first part, and never another.
fn stalled() -> Frames {
    let (sender, frames) = Frames::channel();
    sender.send(Frame::data("begun".into())).unwrap();
    tokio::spawn(async move { sender.closed().await });
    frames
}

/// Agrees to any upgrade, and gives back what comes.
fn echo(mut request: Request<Incoming>, cut: CancellationToken) -> Response<Answer> {
    let protocol = request.headers()[UPGRADE].clone();
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(cut.run_until_cancelled_owned(async move {
        if let Ok(upgraded) = upgrade.await {
            let (mut reader, mut writer) = tokio::io::split(TokioIo::new(upgraded));
            // Whichever end leaves first ends it.
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
            let _ = writer.shutdown().await;
        }
    }));
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "Upgrade")
        .header(UPGRADE, protocol)
        .body(Answer::text(""))
        .unwrap()
}

/// The body of an answer.
pub enum Answer {
    Text(Option<Bytes>),
    /// How much is left, and where to count what was taken.
    Flow(usize, Arc<AtomicUsize>),
    Frames(Frames),
}

/// A frame of a flow.
static ZEROS: [u8; 16 * 1024] = [b'0'; 16 * 1024];

impl Answer {
    fn text(text: impl Into<Bytes>) -> Self {
        let text = text.into();
        Self::Text((!text.is_empty()).then_some(text))
    }
}

impl Body for Answer {
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
