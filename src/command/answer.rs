//! An answer of the assistant as a card, with the evidence that it cites.

use crate::assist::Answer;
use crate::chat::{Block, Card, Item};
use crate::model::Fault;
use crate::store::Tx;

/// An answer as a card. The n-th piece of evidence is what `[n]` points to, so citations that were
/// cut close up.
#[must_use]
pub fn answer_card(answer: &Answer) -> Card {
    let mut text = answer.text.clone();
    let mut cited: Vec<_> = answer.citations.iter().collect();
    cited.sort_by_key(|c| c.n);
    for (place, citation) in (1..).zip(&cited) {
        text = text.replace(&format!("[{}]", citation.n), &format!("[{place}]"));
    }
    let evidence = cited.iter().map(|c| c.evidence.id).collect();
    let mut blocks = vec![Block::Text { heading: None, text, evidence }];
    if !answer.gaps.is_empty() {
        let items = answer.gaps.iter().map(|g| Item::plain(format!("{}: {}", g.what, g.why)));
        let heading = Some("What could not be read".into());
        blocks.push(Block::List { heading, items: items.collect() });
    }
    Card {
        blocks,
        footer: answer.notes.join(" "),
        fallback: answer.text.chars().take(200).collect(),
        ..Card::words("", "")
    }
}

/// Keeps the evidence that an answer cites, so that its links open later too.
///
/// # Errors
/// The store failed.
pub fn keep_evidence(tx: &Tx<'_>, answer: &Answer) -> Result<(), Fault> {
    answer.citations.iter().try_for_each(|c| tx.put_new(&c.evidence).map(|_| ()))
}
