//! 200 requests a second.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use super::{exchange, in_time};

/// Requests at a steady rate, each over a connection of its own, whether the ones before were
/// answered or not.
pub struct Load {
    answers: Arc<Mutex<Vec<Answered>>>,
    on: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

/// A request that came to its end.
#[derive(Debug)]
pub struct Answered {
    /// The request's place among all.
    pub number: usize,
    /// When it was sent.
    pub began: Instant,
    /// When its connection was closed.
    pub ended: Instant,
    /// Head and body.
    pub answer: String,
}

impl Load {
    /// GETs of `/load`.
    pub fn on(address: &str) -> Self {
        Self::of(address, |_| "GET /load".to_owned())
    }

    /// Requests without a body, whose method and path `ask` gives by their number.
    pub fn of(address: &str, ask: impl Fn(usize) -> String + Send + 'static) -> Self {
        let (answers, on) = (
            Arc::new(Mutex::new(Vec::new())),
            Arc::new(AtomicBool::new(true)),
        );
        let (kept, going, address) = (answers.clone(), on.clone(), address.to_owned());
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(5));
            let mut asked = Vec::new();
            for number in 0.. {
                ticks.tick().await;
                if !going.load(Ordering::SeqCst) {
                    break;
                }
                let (kept, address) = (kept.clone(), address.clone());
                let head = format!(
                    "{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                     Content-Length: 0\r\n\r\n",
                    ask(number)
                );
                asked.push(tokio::spawn(async move {
                    let began = Instant::now();
                    let answer = exchange(&address, head).await;
                    let ended = Instant::now();
                    kept.lock().unwrap().push(Answered {
                        number,
                        began,
                        ended,
                        answer,
                    });
                }));
            }
            for request in asked {
                request.await.unwrap();
            }
        });
        Self { answers, on, task }
    }

    /// How many have been answered so far as `told` says.
    pub fn count(&self, told: impl Fn(&Answered) -> bool) -> usize {
        let answers = self.answers.lock().unwrap();
        answers.iter().filter(|answered| told(answered)).count()
    }

    /// Ends it: all that were sent, in the order of their ends.
    pub async fn off(self) -> Vec<Answered> {
        self.on.store(false, Ordering::SeqCst);
        in_time(self.task).await.unwrap();
        std::mem::take(&mut *self.answers.lock().unwrap())
    }
}
