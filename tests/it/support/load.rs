//! A load of 200 requests per second.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use super::{exchange, in_time};

/// Requests at a constant rate, each over its own connection and independent of earlier ones.
pub struct Load {
    responses: Arc<Mutex<Vec<Completed>>>,
    on: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

/// A completed request.
#[derive(Debug)]
pub struct Completed {
    /// Its index among all requests.
    pub number: usize,
    /// The time when it was sent.
    pub began: Instant,
    /// The time when its connection was closed.
    pub ended: Instant,
    /// The response, head and body.
    pub response: String,
}

impl Load {
    /// Sends GET requests for `/load`.
    pub fn on(address: &str) -> Self {
        Self::of(address, |_| "GET /load".to_owned())
    }

    /// Sends requests without a body. `request_line` returns method and path by index.
    pub fn of(address: &str, request_line: impl Fn(usize) -> String + Send + 'static) -> Self {
        let (responses, on) = (
            Arc::new(Mutex::new(Vec::new())),
            Arc::new(AtomicBool::new(true)),
        );
        let (completed, is_on, address) = (responses.clone(), on.clone(), address.to_owned());
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(5));
            let mut requests = Vec::new();
            for number in 0.. {
                ticks.tick().await;
                if !is_on.load(Ordering::SeqCst) {
                    break;
                }
                let (completed, address) = (completed.clone(), address.clone());
                let head = format!(
                    "{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                     Content-Length: 0\r\n\r\n",
                    request_line(number)
                );
                requests.push(tokio::spawn(async move {
                    let began = Instant::now();
                    let response = exchange(&address, head).await;
                    let ended = Instant::now();
                    completed.lock().unwrap().push(Completed {
                        number,
                        began,
                        ended,
                        response,
                    });
                }));
            }
            for request in requests {
                request.await.unwrap();
            }
        });
        Self {
            responses,
            on,
            task,
        }
    }

    /// How many of the requests completed so far match.
    pub fn count(&self, matches: impl Fn(&Completed) -> bool) -> usize {
        let responses = self.responses.lock().unwrap();
        responses
            .iter()
            .filter(|answered| matches(answered))
            .count()
    }

    /// Ends the load. Returns all requests in the order of their completion.
    pub async fn off(self) -> Vec<Completed> {
        self.on.store(false, Ordering::SeqCst);
        in_time(self.task).await.unwrap();
        std::mem::take(&mut *self.responses.lock().unwrap())
    }
}
