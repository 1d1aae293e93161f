//! Cards and words as Discord messages: a headline, embeds and rows of buttons within all limits.
//!
//! The headline stands in the message's content, because that is what a telephone shows at night;
//! the rest is embeds in the colour of the state. What does not fit is cut with a note, and every
//! part gets its share: a part of 100 kB leaves room for the ones after it. Nobody is ever pinged:
//! `allowed_mentions` is empty, and mentions in the text are made inert.
//!
//! The key of a message ([`Draft::key`](crate::chat::Draft::key)) must be found again in the
//! channel's history, also for messages without buttons, and Discord keeps no field of ours
//! elsewhere (a nonce is not told later). So every message ends with a short reference made of its
//! key: in the footer of its last embed, or as a line of small print.

use serde_json::{Value, json};

use super::text::{fit, length, line};
use crate::chat::{Block, Button, Card, Content, Field, Mark, Style, Verb};
use crate::model::id::hex;

/// Characters of a message's content.
pub(super) const CONTENT: usize = 2_000;
/// Characters of all embeds of a message.
const EMBEDS: usize = 6_000;
/// Characters of one embed's description.
const DESCRIPTION: usize = 4_096;
/// Fields of one embed.
const FIELDS: usize = 25;
/// Characters of a field's name and of its value.
const FIELD: (usize, usize) = (256, 1_024);
/// Characters of the title.
const TITLE: usize = 256;
/// Characters of the footer here; Discord takes 2,048.
const FOOTER: usize = 400;
/// Characters of the line beneath the title here.
const CONTEXT: usize = 600;
/// Embeds of a message.
const MOST_EMBEDS: usize = 10;
/// Rows of buttons, and buttons of a row.
const ROWS: (usize, usize) = (5, 5);
/// Characters of a button's label.
const LABEL: usize = 80;
/// Options of a menu, and characters of each label.
const OPTIONS: usize = 25;
const OPTION: usize = 100;
/// Characters of a button's address.
const URL: usize = 512;

/// The reference that a message with this key ends with.
pub(super) fn reference(key: &str) -> String {
    format!("ref {}", &digest(key)[..12])
}

/// Names one try to send (`nonce`, at most 25 characters): the same key gives the same.
pub(super) fn nonce(key: &str) -> String {
    digest(key)[..24].to_owned()
}

fn digest(key: &str) -> String {
    use sha2::Digest as _;
    hex(&sha2::Sha256::digest(key.as_bytes()))
}

/// Whether a message of the history is the one with this key.
pub(super) fn carries(message: &Value, key: &str) -> bool {
    let mark = reference(key);
    let ends = |text: &Value| text.as_str().is_some_and(|t| t.trim_end().ends_with(&mark));
    let embeds = message["embeds"].as_array().map(Vec::as_slice).unwrap_or_default();
    ends(&message["content"]) || embeds.iter().any(|e| ends(&e["footer"]["text"]))
}

/// A message as the API takes it for sending and for editing: every part is named, so that an
/// edit leaves nothing of before. Without a key it carries no reference (ephemeral words).
pub(super) fn message(key: Option<&str>, content: &Content) -> Value {
    let mark = key.map(reference);
    match content {
        Content::Text { text } => words(mark.as_deref(), text),
        Content::Card { card } => of_card(mark.as_deref(), card),
        Content::Form { form } => {
            let label = line(&form.title, LABEL);
            let label = if label.trim().is_empty() { "Open".to_owned() } else { label };
            let button = json!({ "type": 2, "style": 1, "label": label, "custom_id": form.code });
            let rows = json!([{ "type": 1, "components": [button] }]);
            whole(&some(fit(&form.title, TITLE)), json!([]), rows)
        }
        Content::File { name, alt, .. } => {
            let text = format!("{}: {}", line(name, 100), line(alt, 800));
            words(mark.as_deref(), &text)
        }
    }
}

fn whole(content: &str, embeds: Value, components: Value) -> Value {
    json!({
        "content": content,
        "embeds": embeds,
        "components": components,
        "allowed_mentions": { "parse": [] },
    })
}

/// Not empty: Discord refuses a message of nothing but white space.
fn some(text: String) -> String {
    if text.trim().is_empty() { "(no text)".into() } else { text }
}

/// Words stand in the content, with links that unfold nothing; long ones in an embed.
fn words(mark: Option<&str>, text: &str) -> Value {
    let small = mark.map(|m| format!("\n-# {m}")).unwrap_or_default();
    let body = some(fit(text, usize::MAX));
    if length(&body) + length(&small) <= CONTENT {
        return whole(&format!("{body}{small}"), json!([]), json!([]));
    }
    let room = EMBEDS - 2 * FOOTER;
    let mut embeds: Vec<Value> = Vec::new();
    let mut rest = fit(text, room);
    while !rest.is_empty() {
        let next = rest.split_off(border(&rest, DESCRIPTION));
        embeds.push(json!({ "description": some(std::mem::take(&mut rest)) }));
        next.trim_start_matches('\n').clone_into(&mut rest);
    }
    close(&mut embeds, mark, "");
    whole("", Value::Array(embeds), json!([]))
}

/// Where escaped text of at most `room` units is best divided: after a paragraph, a line, a word.
fn border(text: &str, room: usize) -> usize {
    if length(text) <= room {
        return text.len();
    }
    let (mut used, mut end) = (0, 0);
    for (at, c) in text.char_indices() {
        used += c.len_utf16();
        if used > room {
            break;
        }
        // Never between a backslash and what it escapes.
        end = if c == '\\' { end.max(at) } else { at + c.len_utf8() };
    }
    let head = &text[..end];
    let half = head.rfind("\n\n").or_else(|| head.rfind('\n')).or_else(|| head.rfind(' '));
    half.filter(|at| *at > end / 2).map_or(end, |at| at + 1)
}

/// One part of a card, with what it needs at most.
enum Part<'a> {
    Text(Option<&'a str>, String),
    List(Option<&'a str>, Vec<&'a str>),
    Fields(Option<&'a str>, &'a [Field]),
}

/// What a list's line or a field costs beside its text.
const EACH: usize = 3;
/// Units kept for the line that says how many were left out.
const LEFT_OUT: usize = 30;

impl Part<'_> {
    fn of(block: &Block) -> Part<'_> {
        match block {
            Block::Text { heading, text, .. } => Part::Text(heading.as_deref(), text.clone()),
            Block::List { heading, items } => {
                Part::List(heading.as_deref(), items.iter().map(|i| i.text.as_str()).collect())
            }
            Block::Fields { heading, fields } => Part::Fields(heading.as_deref(), fields),
            Block::Chart { alt, .. } => Part::Text(Some("Chart (in the thread)"), alt.clone()),
        }
    }

    /// An upper bound of the units that it takes: escaping doubles at most.
    fn need(&self) -> usize {
        let body: usize = match self {
            Self::Text(_, text) => length(text) * 2,
            Self::List(_, items) => {
                items.iter().map(|i| length(i) * 2 + EACH).sum::<usize>() + LEFT_OUT
            }
            Self::Fields(_, fields) => {
                let each = |f: &Field| length(&f.label) * 2 + length(&f.value) * 2 + EACH;
                fields.iter().map(each).sum::<usize>() + 2 * LEFT_OUT
            }
        };
        body + HEADING
    }

    fn heading(&self) -> Option<&str> {
        match self {
            Self::Text(h, _) | Self::List(h, _) | Self::Fields(h, _) => *h,
        }
    }
}

/// Units kept for a heading and the lines around it.
const HEADING: usize = 110;

/// Shares of a budget: whoever needs less than an even share gets all it needs, and the others
/// share what is left evenly.
fn shares(needs: &[usize], budget: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..needs.len()).collect();
    order.sort_by_key(|i| needs[*i]);
    let mut shares = vec![0; needs.len()];
    let mut left = budget;
    for (n, i) in order.iter().enumerate() {
        shares[*i] = needs[*i].min(left / (needs.len() - n));
        left -= shares[*i];
    }
    shares
}

fn of_card(mark: Option<&str>, card: &Card) -> Value {
    let title = line(&card.title, TITLE);
    let head = some(format!("{} {}", card.mark.sign(), fit(&title, TITLE * 2)).trim().to_owned());
    let content = format!("**{head}**");
    let (rows, n_left) = rows(card);
    let mut footer = line(&card.footer, FOOTER);
    if n_left > 0 {
        footer.push_str(&format!(" · {n_left} more buttons in the console"));
    }
    let context = fit(&line(&card.context, CONTEXT), CONTEXT);
    let parts: Vec<Part<'_>> = card.blocks.iter().map(Part::of).collect();
    let mut page = Page::default();
    if !context.is_empty() {
        page.text(&context);
    }
    // The rest is kept for the context, the footer with its reference, and what joins them.
    let budget = EMBEDS - CONTEXT - FOOTER - 300;
    let most = budget / HEADING;
    let n_cut = parts.len().saturating_sub(most);
    let needs: Vec<usize> = parts.iter().take(most).map(Part::need).collect();
    for (part, room) in parts.iter().zip(shares(&needs, budget)) {
        page.part(part, room);
    }
    if n_cut > 0 {
        page.text(&format!("… {n_cut} more parts in the console."));
    }
    let mut embeds = page.embeds(colour(card.mark));
    if embeds.is_empty() {
        let tail: Vec<&str> = [footer.as_str(), mark.unwrap_or_default()].into_iter().collect();
        let tail = tail.into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(" · ");
        let small = if tail.is_empty() { String::new() } else { format!("\n-# {tail}") };
        return whole(&format!("{content}{small}"), json!([]), rows);
    }
    close(&mut embeds, mark, &footer);
    whole(&content, Value::Array(embeds), rows)
}

/// Puts the footer, with the reference at its end, beneath the last embed.
fn close(embeds: &mut [Value], mark: Option<&str>, footer: &str) {
    let mark = mark.unwrap_or_default();
    let join = if footer.is_empty() || mark.is_empty() { "" } else { " · " };
    let text = format!("{footer}{join}{mark}");
    if let Some(last) = embeds.last_mut().filter(|_| !text.is_empty()) {
        last["footer"] = json!({ "text": text });
    }
}

/// The colour of the bar beside a card.
fn colour(mark: Mark) -> Option<u32> {
    Some(match mark {
        Mark::Critical => 0x00d9_2d20,
        Mark::Open => 0x00f7_9009,
        Mark::Taken => 0x00ea_b308,
        Mark::Watching => 0x0025_63eb,
        Mark::Over => 0x0012_b76a,
        Mark::Plain => return None,
    })
}

/// The embeds as they are filled: fields stand below the description of their embed, so whatever
/// follows fields opens a new one.
#[derive(Default)]
struct Page {
    done: Vec<(String, Vec<Value>)>,
}

impl Page {
    /// The description to be written on.
    fn open(&mut self, n_units: usize) -> &mut String {
        let fits = |(text, fields): &(String, Vec<Value>)| {
            fields.is_empty() && length(text) + n_units + 2 <= DESCRIPTION
        };
        let last = self.done.len().checked_sub(1);
        let at = match last {
            Some(last) if fits(&self.done[last]) => last,
            // All are taken: an earlier one that has room, if there is one.
            Some(last) if self.done.len() == MOST_EMBEDS => {
                self.done.iter().position(fits).unwrap_or(last)
            }
            _ => {
                self.done.push((String::new(), Vec::new()));
                self.done.len() - 1
            }
        };
        &mut self.done[at].0
    }

    fn text(&mut self, text: &str) {
        let description = self.open(length(text));
        if !description.is_empty() {
            description.push_str("\n\n");
        }
        description.push_str(text);
    }

    fn part(&mut self, part: &Part<'_>, room: usize) {
        let heading = part.heading().map(|h| format!("**{}**\n", fit(&line(h, 45), 90)));
        let heading = heading.unwrap_or_default();
        let room = room.saturating_sub(HEADING);
        match part {
            Part::Text(_, text) => {
                let body = some(fit(text, room.min(DESCRIPTION - HEADING)));
                self.text(&format!("{heading}{body}"));
            }
            Part::List(_, items) => {
                let body = list(items, room.min(DESCRIPTION - HEADING));
                self.text(&format!("{heading}{body}"));
            }
            // Few enough embeds are left that what follows still finds one.
            Part::Fields(_, fields) if self.done.len() + 2 < MOST_EMBEDS => {
                self.text(if heading.is_empty() { "\u{200b}" } else { heading.trim_end() });
                let made = of_fields(fields, room);
                self.done.last_mut().expect("text opened it").1 = made;
            }
            Part::Fields(_, fields) => {
                let lines: Vec<String> =
                    fields.iter().map(|f| format!("{}: {}", f.label, f.value)).collect();
                let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                self.text(&format!("{heading}{}", list(&lines, room.min(DESCRIPTION - HEADING))));
            }
        }
    }

    fn embeds(self, colour: Option<u32>) -> Vec<Value> {
        let embed = |(text, fields): (String, Vec<Value>)| {
            let mut embed = json!({ "description": text });
            if !fields.is_empty() {
                embed["fields"] = Value::Array(fields);
            }
            if let Some(colour) = colour {
                embed["color"] = json!(colour);
            }
            embed
        };
        self.done.into_iter().map(embed).collect()
    }
}

/// Lines within `room`: the first ones whole, then how many are left out.
fn list(items: &[&str], room: usize) -> String {
    let needs: Vec<usize> = items.iter().map(|i| length(i) * 2 + EACH).collect();
    // As many lines as have at least 80 units each; a list of short ones shows more.
    let room = room.saturating_sub(LEFT_OUT);
    let mut n = 0;
    let mut least = 0;
    for need in &needs {
        least += (*need).min(80 + EACH);
        if least > room {
            break;
        }
        n += 1;
    }
    let rooms = shares(&needs[..n], room);
    let line_of = |(item, room): (&&str, usize)| {
        let text = item.split_whitespace().collect::<Vec<_>>().join(" ");
        format!("- {}", some(fit(&text, room.saturating_sub(EACH))))
    };
    let mut lines: Vec<String> = items.iter().zip(rooms).map(line_of).collect();
    if n < items.len() {
        lines.push(format!("… and {} more", items.len() - n));
    }
    lines.join("\n")
}

fn of_fields(fields: &[Field], room: usize) -> Vec<Value> {
    let shown = if fields.len() > FIELDS { &fields[..FIELDS - 1] } else { fields };
    let needs: Vec<usize> = shown
        .iter()
        .map(|f| {
            let name = (length(&f.label) * 2).min(FIELD.0);
            let value = (length(&f.value) * 2).min(FIELD.1);
            name + value + EACH
        })
        .collect();
    let room = room.saturating_sub(2 * LEFT_OUT);
    let field = |(f, room): (&Field, usize)| {
        let name = some(fit(&line(&f.label, 100), (room / 3).clamp(10, FIELD.0)));
        let left = room.saturating_sub(length(&name) + EACH).clamp(10, FIELD.1);
        json!({ "name": name, "value": some(fit(&f.value, left)), "inline": true })
    };
    let mut made: Vec<Value> = shown.iter().zip(shares(&needs, room)).map(field).collect();
    if shown.len() < fields.len() {
        let more = format!("and {} more", fields.len() - shown.len());
        made.push(json!({ "name": "…", "value": more, "inline": true }));
    }
    made
}

/// Rows of buttons, then the menu in a row of its own, and how many buttons found no place. Discord
/// refuses a message with the same custom id twice: the first of them stands.
fn rows(card: &Card) -> (Value, usize) {
    let menu = menu(&card.menu);
    let most = (ROWS.0 - usize::from(menu.is_some())) * ROWS.1;
    let url = card.url.as_deref().filter(|url| length(url) <= URL);
    let most = most - usize::from(url.is_some());
    let mut codes: Vec<String> = Vec::new();
    let mut made: Vec<Value> = Vec::new();
    let mut n_left = 0;
    for button in &card.buttons {
        let code = button.code();
        if codes.contains(&code) {
            continue;
        }
        if made.len() == most {
            n_left += 1;
            continue;
        }
        let style = match button.style {
            Style::Primary => 1,
            Style::Plain => 2,
            Style::Danger => 4,
        };
        let label = labelled(button, LABEL);
        // Discord has no dialog that asks once more: a message that one person sees does.
        let sure = if button.asks_first() { SURE } else { "" };
        let id = format!("{sure}{code}");
        made.push(json!({ "type": 2, "style": style, "label": label, "custom_id": id }));
        codes.push(code);
    }
    made.extend(
        url.map(|url| json!({ "type": 2, "style": 5, "label": "Open in console", "url": url })),
    );
    let mut rows: Vec<Value> =
        made.chunks(ROWS.1).map(|row| json!({ "type": 1, "components": row })).collect();
    rows.extend(menu.map(|menu| json!({ "type": 1, "components": [menu] })));
    (Value::Array(rows), n_left)
}

fn labelled(button: &Button, most: usize) -> String {
    let label = line(&button.label, most);
    if label.trim().is_empty() { button.verb.as_str().to_owned() } else { label }
}

/// What the id of a button begins with that is asked about once more.
pub(super) const SURE: &str = "sure:";

/// The question whether something is meant, with the button that does it.
pub(super) fn asked(code: &str) -> Value {
    let text = "This is done at once, and recorded under your name.";
    let mut message = message(None, &Content::text(text));
    let button = json!({ "type": 2, "style": 4, "label": "Do it", "custom_id": code });
    message["components"] = json!([{ "type": 1, "components": [button] }]);
    message
}

/// What a menu is called; what was chosen in it comes back beside this.
pub(super) const MENU: &str = "menu";

/// A menu of what each opens a form.
fn menu(choices: &[Button]) -> Option<Value> {
    let mut options: Vec<Value> = Vec::new();
    for choice in choices {
        let value = choice.code();
        if options.len() < OPTIONS && options.iter().all(|o| o["value"] != value) {
            options.push(json!({ "label": labelled(choice, OPTION), "value": value }));
        }
    }
    let menu = json!({
        "type": 3, "custom_id": MENU, "placeholder": Verb::MORE, "options": options,
    });
    (!choices.is_empty()).then_some(menu)
}
