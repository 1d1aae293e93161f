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
    /// Marks the post with this row as being tried at `wall` (wall time); `None` where nothing is to
    /// be sent (any more).
    ///
    /// # Errors
    /// The store failed.
    pub fn begin(tx: &Tx<'_>, row: &str, wall: Time) -> Result<Option<Self>, Fault> {
        let Some(post) = tx.get::<Post>(row)? else { return Ok(None) };
        if !matches!(post.state, PostState::Due | PostState::Trying) {
            return Ok(None);
        }
        let place = |platform: &str, channel: &str, message: &str| Place {
            platform: platform.to_owned(),
            channel: channel.to_owned(),
            message: message.to_owned(),
        };
        if let Some(first) = &post.after
            && tx.get::<Post>(Post::row(&post.platform, first))?.is_none_or(|p| p.place.is_none())
        {
            tx.put(&Post { state: PostState::Waiting, ..post })?;
            return Ok(None);
        }
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
        // An edit is in doubt too: where somebody deleted what stood, the earlier try may have written
        // it again, somewhere nobody knows.
        let doubtful = post.state == PostState::Trying || post.tried_at.is_some();
        // Rows of before have no such time: they were not tried before they were wanted.
        let first = post.tried_at.unwrap_or(if doubtful { post.at } else { wall });
        let tried_at = Some(first);
        let post = Post { state: PostState::Trying, tried_at, n_tries: post.n_tries + 1, ..post };
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
            tried_at: None,
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
        // What was refused at its first try is not there.
        let is_absent = !fault.is_transient() && !self.doubtful;
        let tried_at = post.tried_at.filter(|_| !is_absent);
        tx.put(&Post { state, tried_at, error, ..post })?;
        Ledger::failed(tx, &self.post.platform, fault, now)
    }

    /// Keeps how the post with this row is marked on its platform now.
    ///
    /// # Errors
    /// The store failed.
    pub fn dressed(tx: &Tx<'_>, row: &str, on: bool) -> Result<(), Fault> {
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

/// Makes what waits for this post due; says how many.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn at(s: i64) -> Time {
        Time::from_ms(s * 1_000)
    }

    #[tokio::test]
    async fn what_may_stand_is_looked_for_back_to_its_first_try_whatever_came_since() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let store = Store::open(&folder.path().join("o.sqlite")).expect("a store");
        let post = || Post::new("k", ("slack", "C1"), Within::Channel, Content::text("x"), at(5));
        let row = Post::row("slack", "k");
        let passing = || Fault::Transient { context: "down".into(), after: None, source: None };
        let test = move |tx: &Tx<'_>| {
            let begin = |s: i64| Attempt::begin(tx, &row, at(s)).map(|a| a.expect("it is in line"));
            let again = || {
                let post = tx.get::<Post>(&row)?.expect("it is kept");
                tx.put(&Post { state: PostState::Due, ..post })
            };
            let seen = |a: &Attempt| (a.doubtful, a.post.tried_at);
            post().want(tx)?;
            let first = begin(10)?;
            assert_eq!(seen(&first), (false, Some(at(10))));
            // Refused at once: it is not there, and its next try is a first one.
            first.failed(tx, &Fault::because("not in the channel"), at(11))?;
            again()?;
            let second = begin(20)?;
            assert_eq!(seen(&second), (false, Some(at(20))));
            second.failed(tx, &passing(), at(21))?;
            let third = begin(30)?;
            assert_eq!(seen(&third), (true, Some(at(20))));
            // Refused while it is in doubt: it may stand all the same.
            third.failed(tx, &Fault::because("the channel is archived"), at(31))?;
            again()?;
            Post { content: Content::text("newer"), ..post() }.want(tx)?;
            let fourth = begin(40)?;
            assert_eq!(seen(&fourth), (true, Some(at(20))));
            let (platform, channel) = ("slack".to_owned(), "C1".to_owned());
            fourth.stood(tx, Place { platform, channel, message: "1".into() }, at(41))?;
            Post { content: Content::text("newest"), ..post() }.want(tx)?;
            assert_eq!(seen(&begin(50)?), (false, Some(at(50))), "it is known where it stands");
            // The answer to the edit is lost: it may have been written anew, elsewhere.
            let edited = begin(60)?;
            assert_eq!(seen(&edited), (true, Some(at(50))));
            assert!(edited.post.place.is_some());
            Ok(())
        };
        store.write(test).await.expect("the store works");
    }
}
