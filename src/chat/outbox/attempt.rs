//! One try to send a post: what is marked before it and what is kept after it.

use super::standing::Ledger;
use super::{Post, PostState, Within};
use crate::chat::{Content, Place, StoredFile};
use crate::model::{Fault, Time};
use crate::store::{Filter, Tx};

/// A try that was marked in the store and may be made.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What is sent.
    pub post: Post,
    /// Whether an earlier try may have reached the platform: [`Draft::doubtful`](crate::chat::Draft::doubtful).
    pub doubtful: bool,
    /// Where the root of its thread stands.
    pub thread: Option<Place>,
    /// The bytes, where the content is a file.
    pub file: Option<StoredFile>,
}

impl Attempt {
    /// Marks the post with this row as being tried; `None` where nothing is to be sent (any more).
    ///
    /// # Errors
    /// The store failed.
    pub fn begin(tx: &Tx<'_>, row: &str) -> Result<Option<Self>, Fault> {
        let Some(post) = tx.get::<Post>(row)? else { return Ok(None) };
        if !matches!(post.state, PostState::Due | PostState::Trying) {
            return Ok(None);
        }
        let place = |platform: &str, channel: &str, message: &str| Place {
            platform: platform.to_owned(),
            channel: channel.to_owned(),
            message: message.to_owned(),
        };
        let thread = match &post.within {
            Within::Channel => None,
            Within::Message(id) => Some(place(&post.platform, &post.channel, id)),
            Within::Post(root) => {
                let root = tx.get::<Post>(Post::row(&post.platform, root))?;
                let Some(stands) = root.and_then(|r| r.place) else {
                    tx.put(&Post { state: PostState::Waiting, ..post })?;
                    return Ok(None);
                };
                Some(stands)
            }
        };
        let file = match &post.content {
            Content::File { file, .. } => tx.get::<StoredFile>(file)?,
            _ => None,
        };
        let doubtful = post.state == PostState::Trying && post.place.is_none();
        let post = Post { state: PostState::Trying, n_tries: post.n_tries + 1, ..post };
        tx.put(&post)?;
        Ok(Some(Self { post, doubtful, thread, file }))
    }

    /// Keeps where the post stands now. Content that changed meanwhile is due next; what waited
    /// for this root becomes due. Says whether there is more to send because of it.
    ///
    /// # Errors
    /// The store failed.
    pub fn stood(&self, tx: &Tx<'_>, place: Place, now: Time) -> Result<bool, Fault> {
        let row = Post::row(&self.post.platform, &self.post.key);
        let Some(post) = tx.get::<Post>(&row)? else { return Ok(false) };
        let newest = post.content == self.post.content;
        let first = post.place.is_none();
        if newest {
            self.forget_file(tx, &row)?;
        }
        let next = Post {
            state: if newest { PostState::Sent } else { PostState::Due },
            due_at: if newest { now } else { post.due_at },
            place: Some(place),
            error: None,
            ..post
        };
        tx.put(&next)?;
        Ledger::sent(tx, &next.platform, now)?;
        let released = if first { release(tx, &next)? } else { 0 };
        Ok(!newest || released > 0)
    }

    /// Keeps why the try failed. What may pass stays marked as tried, because nobody knows whether
    /// the platform has it; what will not is refused, unless its content has changed meanwhile.
    ///
    /// # Errors
    /// The store failed.
    pub fn failed(&self, tx: &Tx<'_>, fault: &Fault, now: Time) -> Result<(), Fault> {
        let row = Post::row(&self.post.platform, &self.post.key);
        let Some(post) = tx.get::<Post>(&row)? else { return Ok(()) };
        let newest = post.content == self.post.content;
        let refused = newest && !fault.is_transient();
        let state = if refused { PostState::Refused } else { PostState::Trying };
        let error = newest.then(|| fault.chain());
        tx.put(&Post { state, error, ..post })?;
        Ledger::failed(tx, &self.post.platform, fault, now)
    }

    /// Keeps how the post is marked on its platform now.
    ///
    /// # Errors
    /// The store failed.
    pub fn dressed(&self, tx: &Tx<'_>, on: bool) -> Result<(), Fault> {
        let row = Post::row(&self.post.platform, &self.post.key);
        match tx.get::<Post>(row)? {
            Some(post) => tx.put(&Post { dressed: on, ..post }),
            None => Ok(()),
        }
    }

    /// Bytes that were kept for this post alone are not needed once they stand.
    fn forget_file(&self, tx: &Tx<'_>, row: &str) -> Result<(), Fault> {
        match &self.post.content {
            Content::File { file, .. } if file.starts_with(row) => {
                tx.remove::<StoredFile>(file).map(|_| ())
            }
            _ => Ok(()),
        }
    }
}

/// Makes what waits for this root due; says how many.
fn release(tx: &Tx<'_>, root: &Post) -> Result<usize, Fault> {
    let waiting = Filter {
        parent: Some(root.platform.clone()),
        subject: Some(root.key.clone()),
        ..Filter::states([PostState::Waiting.as_str()])
    };
    let waiting = tx.list::<Post>(&waiting)?;
    for post in &waiting {
        tx.put(&Post { state: PostState::Due, ..post.clone() })?;
    }
    Ok(waiting.len())
}
