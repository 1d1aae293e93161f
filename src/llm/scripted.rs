//! A model that says what it was given to say, in order: for replays and tests.

use std::collections::VecDeque;
use std::sync::Mutex;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::{LanguageModel, Reply, Request};
use crate::model::Fault;

/// Replies in order; a transient fault once they are used up.
#[derive(Debug, Default)]
pub struct Scripted {
    /// What is still to be said; held only while one reply is taken.
    replies: Mutex<VecDeque<Reply>>,
}

impl Scripted {
    /// A model with these replies.
    #[must_use]
    pub fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self { replies: Mutex::new(replies.into_iter().collect()) }
    }
}

impl LanguageModel for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn complete(
        &self,
        _request: Request,
        heard: mpsc::Sender<String>,
    ) -> BoxFuture<'_, Result<Reply, Fault>> {
        let next = self.replies.lock().expect("taking a reply can't panic").pop_front();
        if let Some(reply) = &next {
            let _ = heard.try_send(reply.text.clone());
        }
        let reply = next.ok_or_else(|| Fault::because("the script has no further reply"));
        Box::pin(std::future::ready(reply))
    }
}
