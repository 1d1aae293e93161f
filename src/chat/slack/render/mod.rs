//! Cards, words and forms as Slack's blocks, always within Slack's limits.
//!
//! Telemetry goes into `mrkdwn` with `verbatim`, escaped, or into `plain_text`: neither can name a
//! person, a group or a channel. What does not fit is cut and the cut is said; a card is never
//! refused. The limits are Slack's (docs.slack.dev/reference/block-kit/blocks); the one on all
//! blocks together is not documented and was measured at about 13,200 characters.

mod form;
#[cfg(test)]
pub(crate) mod tests;
mod words;

pub(super) use form::{ACTION, Metadata, form};

use serde_json::{Value, json};

use self::words::{clean, cut, cut_telling, escape, length, pieces};
use crate::chat::{Block, Button, Card, Content, Style, Verb};

/// Blocks of one message.
const BLOCKS: usize = 50;
/// Characters of all text of one message, all blocks together.
const CHARACTERS: usize = 12_600;
/// Characters of one section.
const SECTION: usize = 3_000;
/// Fields of one section.
const FIELDS: usize = 10;
/// Characters of a field (Slack takes 2,000): fields stand side by side and are for short values.
const FIELD: usize = 600;
/// Characters of one item of a list.
const ITEM: usize = 700;
/// Characters of the lines above and below.
const CONTEXT: usize = 1_500;
/// Characters of the plain text beside the blocks; an edit takes 4,000.
const FALLBACK: usize = 3_000;
/// Buttons of one message; Slack takes as many in one block.
const BUTTONS: usize = 25;
/// Options of a menu, and those of the one that shows three dots only.
const OPTIONS: usize = 100;
const OVERFLOW: usize = 5;
/// Characters of a button's address.
const URL: usize = 3_000;
/// Characters of all buttons of one message and of its menu, names of types and codes included: a
/// card has some 2,500 of both, and beside the longest of all other lines and the longest address
/// they must leave the message within [`CHARACTERS`].
const PRESSED: usize = 2_800;
const CHOSEN: usize = 3_200;
/// Cards of somebody's home.
const HOME_CARDS: usize = 20;
/// What every part after one that is too long keeps for itself.
const LEAST_OF_A_PART: usize = 500;

/// A message as Slack takes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rendered {
    /// The blocks.
    pub blocks: Vec<Value>,
    /// What notifications and screen readers say, escaped.
    pub text: String,
}

/// How much may be used.
#[derive(Clone, Copy)]
struct Room {
    blocks: usize,
    characters: usize,
}

/// What a message says, as blocks.
pub(super) fn content(content: &Content) -> Rendered {
    match content {
        Content::Card { card: given } => card(given),
        Content::Text { text } => {
            let room = Room { blocks: BLOCKS, characters: CHARACTERS };
            let lines = Part::lines(&escape(text));
            Rendered { blocks: paragraphs(None, &lines, room), text: fallback(text, "nightjar") }
        }
        Content::File { name, alt, .. } => {
            let line = format!("{}: {}", escape(name), escape(alt));
            Rendered { blocks: vec![context(&line)], text: cut(&line, FALLBACK) }
        }
        Content::Form { form } => {
            let button = json!({
                "type": "button", "action_id": "nightjar:form", "value": cut(&form.code, 2_000),
                "text": plain(&form.title, 75), "style": "primary",
            });
            let blocks = vec![json!({ "type": "actions", "elements": [button] })];
            Rendered { blocks, text: fallback(&form.title, "A form") }
        }
    }
}

/// A card as blocks.
fn card(card: &Card) -> Rendered {
    let room = Room { blocks: BLOCKS, characters: CHARACTERS };
    Rendered { blocks: card_blocks(card, room), text: fallback(&card.fallback, &card.title) }
}

/// Somebody's home: their cards beneath each other.
pub(super) fn home(cards: &[Card]) -> Value {
    let shown = &cards[..cards.len().min(HOME_CARDS)];
    let each = Room { blocks: 90 / shown.len().max(1), characters: 60_000 / shown.len().max(1) };
    let mut blocks: Vec<Value> = Vec::new();
    for card in shown {
        blocks.extend((!blocks.is_empty()).then(|| json!({ "type": "divider" })));
        blocks.extend(card_blocks(card, Room { blocks: each.blocks - 1, ..each }));
    }
    if cards.len() > shown.len() {
        blocks.push(context(&format!("… {} more in the console", cards.len() - shown.len())));
    }
    if blocks.is_empty() {
        blocks.push(context("Nothing is open and nothing waits for you."));
    }
    json!({ "type": "home", "blocks": blocks })
}

fn card_blocks(card: &Card, room: Room) -> Vec<Value> {
    let mut blocks = Vec::new();
    let title = clean(&format!("{} {}", card.mark.sign(), card.title)).replace('\n', " ");
    if !title.trim().is_empty() {
        blocks.push(json!({ "type": "header", "text": plain(title.trim(), 150) }));
    }
    blocks.extend(line(&card.context));
    let mut end: Vec<Value> = Vec::new();
    let (elements, missing) = elements(card);
    end.extend((!elements.is_empty()).then(|| json!({ "type": "actions", "elements": elements })));
    if missing > 0 {
        end.push(context(&format!("… {missing} more buttons in the console")));
    }
    end.extend(line(&card.footer));
    let used = weight(&blocks) + weight(&end);
    let left = Room {
        // One less: the note beneath fields that are cut.
        blocks: room.blocks.saturating_sub(blocks.len() + end.len() + 1),
        characters: room.characters.saturating_sub(used),
    };
    let parts: Vec<Part> = card.blocks.iter().map(Part::of).collect();
    blocks.extend(fill(&parts, left));
    blocks.extend(end);
    if blocks.is_empty() {
        blocks.push(context("(nothing to show)"));
    }
    blocks
}

/// A part of a card in lines that fit a section each.
struct Part {
    heading: Option<String>,
    kind: Kind,
    lines: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Lines,
    Fields,
    Chart,
}

impl Part {
    fn lines(escaped: &str) -> Vec<String> {
        pieces(escaped, SECTION - 200)
    }

    fn of(block: &Block) -> Self {
        let bold = |h: &Option<String>| {
            let said = |h| cut(escape(h).replace(['*', '\n'], " ").trim(), 150);
            h.as_deref().map(said).filter(|h| !h.is_empty()).map(|h| format!("*{h}*"))
        };
        match block {
            Block::Text { heading, text, .. } => {
                let lines = Self::lines(&escape(text));
                Self { heading: bold(heading), kind: Kind::Lines, lines }
            }
            Block::List { heading, items } => {
                let item = |text: &str| {
                    format!("• {}", cut_telling(&escape(text).replace('\n', "\n   "), ITEM))
                };
                let lines = items.iter().map(|i| item(&i.text)).collect();
                Self { heading: bold(heading), kind: Kind::Lines, lines }
            }
            Block::Fields { heading, fields } => {
                let field = |label: &str, value: &str| {
                    let label = cut(&escape(label).replace(['*', '\n'], " "), 100);
                    format!("*{}*\n{}", label.trim(), cut_telling(&escape(value), FIELD))
                };
                let lines = fields.iter().map(|f| field(&f.label, &f.value)).collect();
                Self { heading: bold(heading), kind: Kind::Fields, lines }
            }
            Block::Chart { alt, .. } => {
                let lines = vec![format!("Chart in the thread: {}", escape(alt))];
                Self { heading: None, kind: Kind::Chart, lines }
            }
        }
    }

    fn size(&self) -> usize {
        let heading = self.heading.as_deref().map_or(0, length);
        heading + self.lines.iter().map(|l| length(l) + 1).sum::<usize>()
    }

    fn blocks(&self, room: Room) -> Vec<Value> {
        match self.kind {
            Kind::Lines => paragraphs(self.heading.as_deref(), &self.lines, room),
            Kind::Fields => fields(self.heading.as_deref(), &self.lines, room),
            Kind::Chart => vec![context(&cut_telling(&self.lines[0], room.characters - 40))],
        }
    }
}

/// All parts in their order. One that is too long leaves a little to each that follows.
fn fill(parts: &[Part], room: Room) -> Vec<Value> {
    let mut blocks: Vec<Value> = Vec::new();
    let mut characters = room.characters;
    let sizes: Vec<usize> = parts.iter().take(BLOCKS).map(Part::size).collect();
    for (i, part) in parts.iter().take(BLOCKS).enumerate() {
        let free = room.blocks.saturating_sub(blocks.len());
        let after = parts.len() - i - 1;
        let kept: usize = sizes[i + 1..].iter().map(|size| size.min(&LEAST_OF_A_PART)).sum();
        let mine = characters.saturating_sub(kept).max(characters.min(LEAST_OF_A_PART));
        // The last free block says how much is missing.
        if (free <= 1 && after > 0) || free == 0 || mine < 150 {
            if free > 0 && characters > 100 {
                blocks.push(context(&format!("… {} more parts in the console", after + 1)));
            }
            break;
        }
        let mine =
            Room { blocks: free.saturating_sub(after.min(free / 2)).max(1), characters: mine };
        let drawn = part.blocks(mine);
        characters = characters.saturating_sub(weight(&drawn));
        blocks.extend(drawn);
    }
    blocks
}

/// What opens and closes code in Slack's mark-up.
const FENCE: &str = "```";

/// Lines packed into sections; the last one says how many are missing. Code that goes over the end
/// of a section is closed there and opened again.
fn paragraphs(heading: Option<&str>, lines: &[String], room: Room) -> Vec<Value> {
    const NOTE: usize = 70;
    let mut sections: Vec<String> = vec![heading.unwrap_or_default().to_owned()];
    let mut used = length(&sections[0]) + 20;
    let (mut shown, mut is_code) = (0, false);
    for line in lines {
        let n = length(line) + 1;
        let ends_code = is_code && line.trim() == FENCE;
        let full = !ends_code && sections.last().is_some_and(|s| length(s) + n + NOTE > SECTION);
        let last = sections.len() >= room.blocks;
        if used + n + NOTE > room.characters || (full && last) {
            break;
        }
        if full {
            if let Some(section) = sections.last_mut().filter(|_| is_code) {
                section.push_str(&format!("\n{FENCE}"));
                used += 2 * FENCE.len() + 1;
            }
            sections.push(if is_code { FENCE.into() } else { String::new() });
            used += 20;
        }
        let section = sections.last_mut().expect("there is always one");
        if !section.is_empty() {
            section.push('\n');
        }
        section.push_str(line);
        is_code ^= line.matches(FENCE).count() % 2 == 1;
        used += n;
        shown += 1;
    }
    if let Some(section) = sections.last_mut().filter(|_| is_code) {
        section.push_str(&format!("\n{FENCE}"));
    }
    if shown < lines.len() {
        let missing = lines.len() - shown;
        let section = sections.last_mut().expect("there is always one");
        let first = if section.is_empty() { "" } else { "\n" };
        section.push_str(&format!("{first}… {missing} more lines in the console"));
    }
    let filled = sections.iter().filter(|s| !s.trim().is_empty());
    filled.map(|s| json!({ "type": "section", "text": marked(s) })).collect()
}

/// Labels with values, ten to a section.
fn fields(heading: Option<&str>, lines: &[String], room: Room) -> Vec<Value> {
    let mut blocks: Vec<Value> = Vec::new();
    let (mut used, mut shown) = (heading.map_or(0, length) + 80, 0);
    for chunk in lines.chunks(FIELDS) {
        if blocks.len() + 1 >= room.blocks.max(2) && shown > 0 {
            break;
        }
        let mut taken: Vec<Value> = Vec::new();
        for line in chunk {
            used += length(line) + 6;
            if used > room.characters {
                break;
            }
            taken.push(marked(line));
        }
        let whole = taken.len() == chunk.len();
        shown += taken.len();
        if !taken.is_empty() {
            blocks.push(json!({ "type": "section", "fields": taken }));
        }
        if !whole {
            break;
        }
    }
    if let (Some(heading), Some(first)) = (heading, blocks.first_mut()) {
        first["text"] = marked(heading);
    }
    if shown < lines.len() {
        let note = format!("… {} more in the console", lines.len() - shown);
        // Beneath the fields, or in their place where not even one had room.
        blocks.push(context(&note));
    }
    blocks
}

/// Buttons, menu and link of a card, and how many buttons have no place.
fn elements(card: &Card) -> (Vec<Value>, usize) {
    let options = within(card.menu.iter().take(OPTIONS).map(option), CHOSEN);
    let unlisted = card.menu.len() - options.len();
    let mut after: Vec<Value> = menu(options).into_iter().collect();
    let url = card.url.as_deref().filter(|url| length(url) <= URL);
    after.extend(url.map(|url| {
        let text = plain("Open in console", 75);
        json!({ "type": "button", "action_id": "nightjar:console", "text": text, "url": url })
    }));
    let most = BUTTONS - after.len();
    let drawn = card.buttons.iter().take(most).enumerate().map(|(i, b)| button(i, b));
    let shown = within(drawn, PRESSED);
    let missing = unlisted + card.buttons.len() - shown.len();
    (shown.into_iter().chain(after).collect(), missing)
}

/// The first of them that have room together.
fn within(all: impl Iterator<Item = Value>, most: usize) -> Vec<Value> {
    let mut used = 0;
    all.take_while(|one| {
        used += weight(std::slice::from_ref(one));
        used <= most
    })
    .collect()
}

fn option(button: &Button) -> Value {
    let label = if button.label.trim().is_empty() { button.verb.as_str() } else { &button.label };
    json!({ "text": plain(label, 75), "value": button.code() })
}

/// A menu of what each opens a form: the one that keeps no choice, where it takes so many.
fn menu(options: Vec<Value>) -> Option<Value> {
    let id = "nightjar:more";
    match options.len() {
        0 => None,
        n if n <= OVERFLOW => {
            Some(json!({ "type": "overflow", "action_id": id, "options": options }))
        }
        _ => Some(json!({
            "type": "static_select", "action_id": id, "options": options,
            "placeholder": plain(Verb::MORE, 150),
        })),
    }
}

fn button(i: usize, button: &Button) -> Value {
    let label = if button.label.trim().is_empty() { button.verb.as_str() } else { &button.label };
    let mut out = json!({
        "type": "button",
        "action_id": format!("nightjar:{i}"),
        "value": button.code(),
        "text": plain(label, 75),
    });
    match button.style {
        Style::Primary => out["style"] = "primary".into(),
        Style::Danger => out["style"] = "danger".into(),
        Style::Plain => {}
    }
    // What opens a form is confirmed by sending the form.
    if button.asks_first() {
        out["confirm"] = json!({
            "title": plain(label, 40),
            "text": plain("It is recorded under your name.", 300),
            "confirm": plain(label, 30),
            "deny": plain("Cancel", 30),
            "style": "danger",
        });
    }
    out
}

fn plain(text: &str, most: usize) -> Value {
    let text = cut(clean(text).replace('\n', " ").trim(), most);
    json!({ "type": "plain_text", "text": if text.is_empty() { "-" } else { &text }, "emoji": true })
}

fn marked(escaped: &str) -> Value {
    json!({ "type": "mrkdwn", "text": escaped, "verbatim": true })
}

/// A line above or beneath a card, where it says something once what can't be shown is gone.
fn line(text: &str) -> Option<Value> {
    let escaped = escape(text);
    (!escaped.trim().is_empty()).then(|| context(&escaped))
}

fn context(escaped: &str) -> Value {
    json!({ "type": "context", "elements": [marked(&cut_telling(escaped, CONTEXT))] })
}

/// The text of a notification: the first that says something once what can't be shown is gone.
fn fallback(text: &str, otherwise: &str) -> String {
    let said = [text, otherwise].map(escape).into_iter().find(|t| !t.trim().is_empty());
    cut(&said.unwrap_or_else(|| "nightjar".to_owned()), FALLBACK)
}

/// The length of every word in the blocks, names of types included: an upper bound of whatever
/// Slack counts.
fn weight(blocks: &[Value]) -> usize {
    fn of(value: &Value) -> usize {
        match value {
            Value::String(s) => length(s),
            Value::Array(all) => all.iter().map(of).sum(),
            Value::Object(map) => map.values().map(of).sum(),
            _ => 0,
        }
    }
    blocks.iter().map(of).sum()
}

/// Words that name nobody, for where Slack reads mark-up of its own.
pub(super) fn inert(text: &str) -> String {
    escape(text)
}

/// A file's title: what it shows, else its name.
pub(super) fn title(alt: &str, name: &str) -> String {
    let text = clean(alt).replace('\n', " ");
    cut(if text.trim().is_empty() { name } else { text.trim() }, 250)
}
