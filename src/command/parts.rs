//! A long answer as several messages beneath each other, each a row of the outbox with a key of its
//! own; one that is longer still, as its beginning with the whole text in a file.

use sha2::{Digest as _, Sha256};

use super::answer::answer_card;
use crate::assist::Answer;
use crate::chat::split::{split, weight};
use crate::chat::{Block, Card, Content, Post, PostState, StoredFile};
use crate::model::Fault;
use crate::model::id::hex;
use crate::store::{Rows, Tx};

/// Messages of one answer at most.
pub(super) const MOST_PARTS: usize = 5;
/// Room of a message on a platform that is not connected and can't be asked.
pub(super) const LEAST_ROOM: usize = 3_500;
/// What stands beneath a part that another one follows.
const GOES_ON: &str = "Goes on below.";
/// What stands beneath the last part where the file follows.
const IN_FILE: &str = "Goes on in the file below, which has the whole answer.";
/// What takes the place of a part that stands already when an answer becomes shorter.
const TAKEN_BACK: &str = "The answer above became shorter; it ends there.";

/// An answer, or what is known of it so far, in parts.
#[derive(Clone, Debug)]
pub struct Parts {
    /// As the first message is posted.
    post: Post,
    /// What each message says, in order; as many as the answer needs.
    cards: Vec<Card>,
    /// The whole text, where the answer is made.
    whole: Option<String>,
}

impl Parts {
    /// An answer that is made, in messages of this room
    /// ([`Limits::answer`](crate::chat::Limits)); `post` names the first one and its thread.
    #[must_use]
    pub fn of(answer: &Answer, room: usize, post: Post) -> Self {
        let (cards, text) = cards_of(answer_card(answer), room);
        Self { post, cards, whole: Some(text) }
    }

    /// An answer in the making, with what stands beneath it.
    #[must_use]
    pub fn making(text: &str, footer: &str, room: usize, post: Post) -> Self {
        let block = Block::Text { heading: None, text: text.into(), evidence: Vec::new() };
        let card = Card { blocks: vec![block], footer: footer.into(), ..Card::words("", "") };
        let (cards, _) = cards_of(Card { fallback: footer.into(), ..card }, room);
        Self { post, cards, whole: None }
    }

    /// Wants every part to stand, and none besides; `true` where that changes anything.
    ///
    /// # Errors
    /// The store failed.
    pub fn want(mut self, tx: &Tx<'_>) -> Result<bool, Fault> {
        let n_rows = n_rows(tx, &self.post)?;
        let fits = self.cards.len() <= MOST_PARTS;
        let n_shown = match (&self.whole, fits) {
            (_, true) => self.cards.len(),
            (None, false) => MOST_PARTS,
            // What people saw of it already stays; the rest need not fill the thread.
            (Some(_), false) => n_rows.clamp(1, MOST_PARTS),
        };
        let last = self.cards.last().map(|c| c.footer.clone()).unwrap_or_default();
        self.cards.truncate(n_shown);
        if let Some(card) = self.cards.last_mut().filter(|_| !fits) {
            let more = if self.whole.is_some() { IN_FILE } else { "" };
            card.footer = if more.is_empty() { last } else { format!("{more} {last}") };
        }
        let mut changed = false;
        for (n, card) in (1..).zip(std::mem::take(&mut self.cards)) {
            let part = self.part(n, Content::card(card));
            // Only the last one still grows.
            let reader = part.reader.clone().filter(|_| n == n_shown);
            changed |= Post { reader, ..part }.want(tx)?;
        }
        changed |= take_back(tx, &self.post, n_shown)?;
        if let Some(text) = self.whole.take().filter(|_| !fits) {
            changed |= self.want_file(tx, n_shown, &text)?;
        }
        Ok(changed)
    }

    fn part(&self, n: usize, content: Content) -> Post {
        let after = (n > 1).then(|| key_of(&self.post, n - 1));
        Post { key: key_of(&self.post, n), after, content, ..self.post.clone() }
    }

    /// Wants the whole text as a file beneath what is shown of it.
    fn want_file(&self, tx: &Tx<'_>, n_shown: usize, text: &str) -> Result<bool, Fault> {
        let key = format!("{}:file", self.post.key);
        let digest = hex(&Sha256::digest(text.as_bytes())[..8]);
        // The row's name in front says that the bytes may go once they stand.
        let file = format!("{}#{digest}", Post::row(&self.post.platform, &key));
        let bytes = text.as_bytes();
        tx.put(&StoredFile::new(&file, "text/markdown", bytes, self.post.at))?;
        let n_chars = text.chars().count();
        let content = Content::File {
            name: "answer.md".into(),
            media_type: "text/markdown".into(),
            alt: format!("The whole answer, {n_chars} characters"),
            file,
        };
        let after = Some(key_of(&self.post, n_shown));
        Post { key, after, content, ..self.post.clone() }.want(tx)
    }
}

/// Takes back what stands of an answer after its first `n_kept` messages: what was not sent goes,
/// what stands says that the answer ends above.
pub(super) fn take_back(tx: &Tx<'_>, first: &Post, n_kept: usize) -> Result<bool, Fault> {
    let mut changed = false;
    for n in n_kept + 1..=n_rows(tx, first)? {
        let row = Post::row(&first.platform, &key_of(first, n));
        let Some(post) = tx.get::<Post>(&row)? else { continue };
        let waits = matches!(post.state, PostState::Waiting | PostState::Due);
        if waits && post.place.is_none() && post.tried_at.is_none() {
            tx.remove::<Post>(&row)?;
            changed = true;
        } else {
            changed |= Post { content: Content::text(TAKEN_BACK), ..post }.want(tx)?;
        }
    }
    Ok(changed)
}

/// How many messages of an answer are wanted or stand.
fn n_rows(rows: &Rows<'_>, first: &Post) -> Result<usize, Fault> {
    for n in 1..=MOST_PARTS {
        if rows.get::<Post>(Post::row(&first.platform, &key_of(first, n)))?.is_none() {
            return Ok(n - 1);
        }
    }
    Ok(MOST_PARTS)
}

fn key_of(first: &Post, n: usize) -> String {
    if n == 1 { first.key.clone() } else { format!("{}:{n}", first.key) }
}

/// A card in as many as its text needs, and the whole text. What a long text is followed by becomes
/// a part of it, so that it is divided with it.
fn cards_of(card: Card, room: usize) -> (Vec<Card>, String) {
    let lists = card.blocks.iter().filter_map(|block| match block {
        Block::List { heading, items } => {
            let lines = items.iter().map(|i| format!("- {}", i.text));
            let heading = heading.iter().map(|h| format!("{h}:"));
            Some(heading.chain(lines).collect::<Vec<_>>().join("\n"))
        }
        _ => None,
    });
    let Some(Block::Text { text, evidence, .. }) = card.blocks.first() else {
        return (vec![card], String::new());
    };
    let lists: Vec<String> = lists.collect();
    let whole = [std::slice::from_ref(text), &lists].concat().join("\n\n");
    // Beside a list a text gets half of what it gets alone, on the platform with the least room.
    let room_beside = if lists.is_empty() { room } else { room / 2 };
    if weight(&whole) <= room_beside {
        return (vec![card], whole);
    }
    let parts = split(&whole, room);
    let n = parts.len();
    let of_part = |(i, text): (usize, String)| {
        let fallback = text.chars().take(200).collect();
        let blocks = vec![Block::Text { heading: None, text, evidence: evidence.clone() }];
        let footer = if i + 1 < n { GOES_ON.into() } else { card.footer.clone() };
        Card { blocks, footer, fallback, ..card.clone() }
    };
    (parts.into_iter().enumerate().map(of_part).collect(), whole)
}
