//! A person's own page as one card, for platforms that have no page of the bot's: open incidents,
//! what waits for a decision, their silences.

use super::lists;
use crate::chat::{Block, Button, Card, Style, Subject, Verb};
use crate::model::{Actor, Fault, Time};
use crate::store::Rows;

/// Incidents that the page brings buttons for; with those of the offers they fit on every platform
/// (Discord takes 25).
const MOST_TAKEN: usize = 5;

/// What a person's own page shows, as one card.
pub(super) fn page(rows: &Rows<'_>, actor: &Actor, now: Time) -> Result<Card, Fault> {
    let mut page = Card::words("Your page", String::new());
    page.blocks.clear();
    let incidents = lists::incidents(rows, false, now)?;
    page.fallback = format!("Your page. {}", incidents.fallback);
    part(&mut page, incidents);
    let waiting = super::forms::active(rows, MOST_TAKEN)?;
    page.buttons.extend(waiting.iter().filter(|i| i.owner.is_none()).map(|i| Button {
        verb: Verb::Acknowledge,
        label: format!("Acknowledge #{}", i.number),
        style: Style::Plain,
        subject: Subject::Incident(i.id),
        digest: None,
    }));
    part(&mut page, lists::approvals(rows, now)?);
    part(&mut page, lists::silences(rows, Some(actor), now)?);
    Ok(page)
}

/// Puts a card beneath the others: its title stands above its first block.
fn part(page: &mut Card, card: Card) {
    page.buttons.extend(card.buttons);
    let mut title = Some(card.title);
    page.blocks.extend(card.blocks.into_iter().map(|mut block| {
        if let Block::Text { heading, .. } | Block::List { heading, .. } = &mut block
            && let Some(title) = title.take()
        {
            let own = heading.take().map(|own| format!(": {own}")).unwrap_or_default();
            *heading = Some(title + &own);
        }
        block
    }));
}
