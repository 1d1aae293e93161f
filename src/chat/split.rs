//! Long text in parts that fit a message each: divided between paragraphs where that can be, never
//! leaving a code fence open.

/// Text has at least this room: a line of words and what reopens a fence.
const LEAST: usize = 300;
/// Characters of what follows an opening fence that are said again where it is reopened.
const INFO: usize = 20;

/// An upper bound of the UTF-16 units that any adapter makes of a text when it escapes it: Slack's
/// `&amp;`, `&lt;` and `&gt;`, Discord's backslash before whatever may be mark-up, its brackets
/// around an address and its mark in a mention.
#[must_use]
pub fn weight(text: &str) -> usize {
    text.chars().map(of_char).sum()
}

fn of_char(c: char) -> usize {
    match c {
        '&' => 5,
        '<' | '>' => 4,
        c if c.is_ascii_punctuation() => 2,
        c => c.len_utf16(),
    }
}

/// One line, or a piece of a long one.
struct Line<'a> {
    text: &'a str,
    /// The fence that is open before it.
    fence: Option<Fence<'a>>,
    /// Whether a paragraph or a fence begins with it.
    begins: bool,
    /// Whether its line ends with it.
    ends: bool,
}

/// An open code fence.
#[derive(Clone, Copy)]
struct Fence<'a> {
    /// Its marks: three backticks or more.
    marks: &'a str,
    /// What follows them.
    info: &'a str,
}

impl Fence<'_> {
    fn reopened(self) -> String {
        format!("{}{}", self.marks, self.info.chars().take(INFO).collect::<String>())
    }
}

/// The parts of a text, each of at most `room` by [`weight`]. A code fence that is divided is
/// closed at the end of its part and opened again in the next one; besides that and white space
/// at the borders, the parts put together are the text.
#[must_use]
pub fn split(text: &str, room: usize) -> Vec<String> {
    if weight(text) <= room {
        return vec![text.to_owned()];
    }
    let room = room.max(LEAST);
    let lines = lines(text, room / 2);
    let (mut parts, mut from) = (Vec::new(), 0);
    while from < lines.len() {
        let to = end(&lines, from, room);
        let part = part(&lines[from..to], lines.get(to));
        parts.extend((!part.trim().is_empty()).then_some(part));
        from = to;
    }
    parts
}

/// Whether this line opens a fence (CommonMark 4.5), or closes the one that is open.
fn fenced<'a>(line: &'a str, open: Option<Fence<'a>>) -> Option<Fence<'a>> {
    let bare = line.trim();
    let marks = &bare[..bare.len() - bare.trim_start_matches('`').len()];
    let info = &bare[marks.len()..];
    match open {
        // Indented by as much as anybody likes: text that people read is not so strict.
        None if (3..=9).contains(&marks.len()) && !info.contains('`') => {
            Some(Fence { marks, info })
        }
        Some(open) if marks.len() >= open.marks.len() && info.is_empty() => None,
        open => open,
    }
}

/// The lines of a text, long ones in pieces of at most `most`.
fn lines(text: &str, most: usize) -> Vec<Line<'_>> {
    let (mut lines, mut fence, mut begins) = (Vec::new(), None, true);
    for line in text.lines() {
        let next = fenced(line, fence);
        begins = fence.is_none() && (begins || next.is_some());
        let mut rest = line;
        loop {
            let piece = &rest[..piece(rest, most)];
            rest = &rest[piece.len()..];
            lines.push(Line { text: piece, fence, begins, ends: rest.is_empty() });
            begins = false;
            if rest.is_empty() {
                break;
            }
        }
        begins = line.trim().is_empty();
        fence = next;
    }
    lines
}

/// The bytes of a line that fit, ending after a space where there is one in its second half.
fn piece(line: &str, most: usize) -> usize {
    let mut used = 0;
    let over = line.char_indices().find(|(_, c)| {
        used += of_char(*c);
        used > most
    });
    let Some((over, _)) = over else { return line.len() };
    let space = line[..over].rfind(' ').filter(|at| *at > over / 2);
    space.map_or(over, |at| at + 1)
}

/// Where the part that begins at `from` ends: before the last paragraph that fits, else between
/// lines outside fences, else between lines.
fn end(lines: &[Line<'_>], from: usize, room: usize) -> usize {
    let opened = lines[from].fence.map_or(0, |f| weight(&f.reopened()) + 1);
    let (mut used, mut to) = (opened, from);
    // The last place where a paragraph begins, where no fence is open, and the weights up to them.
    let (mut paragraph, mut outside) = (None, None);
    for (at, line) in lines.iter().enumerate().skip(from) {
        let closing =
            |n: usize| lines.get(n).and_then(|l| l.fence).map_or(0, |f| weight(f.marks) + 1);
        if at > from && line.begins {
            paragraph = Some((at, used));
        }
        if at > from && line.fence.is_none() {
            outside = Some((at, used));
        }
        used += weight(line.text) + 1;
        if used + closing(at + 1) > room && at > from {
            break;
        }
        to = at + 1;
    }
    if to == lines.len() {
        return to;
    }
    let fits = |place: &(usize, usize)| place.0 <= to && place.1 > room / 3;
    let best = paragraph.filter(fits).or(outside.filter(fits));
    best.map_or(to, |(at, _)| at)
}

/// Lines put together, with what opens and closes a fence that goes over the borders.
fn part(lines: &[Line<'_>], next: Option<&Line<'_>>) -> String {
    let mut out = String::new();
    if let Some(fence) = lines.first().and_then(|l| l.fence) {
        out.push_str(&fence.reopened());
        out.push('\n');
    }
    for (n, line) in lines.iter().enumerate() {
        out.push_str(line.text);
        if line.ends && n + 1 < lines.len() {
            out.push('\n');
        }
    }
    if let Some(fence) = next.and_then(|l| l.fence) {
        out.push('\n');
        out.push_str(fence.marks);
        return out;
    }
    if lines.first().is_some_and(|l| l.fence.is_some()) {
        return out.trim_end().to_owned();
    }
    out.trim_matches('\n').trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is read, without white space and without lines of fences.
    fn read(texts: &[String]) -> String {
        let lines = texts.iter().flat_map(|t| t.lines());
        let words = lines.filter(|l| !l.trim().starts_with("```"));
        words.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect()
    }

    fn open_at_end(text: &str) -> bool {
        text.lines().fold(None, |open, line| fenced(line, open)).is_some()
    }

    #[test]
    fn parts_end_between_paragraphs() {
        let paragraph = |n: usize| format!("paragraph {n} says {}", "much ".repeat(20));
        let text: Vec<String> = (0..7).map(paragraph).collect();
        let parts = split(&text.join("\n\n"), 400);
        assert_eq!(parts.len(), 3, "{parts:?}");
        assert!(parts.iter().all(|p| p.starts_with("paragraph ")), "{parts:?}");
        assert_eq!(split("short", 400), ["short"]);
    }

    #[test]
    fn a_fence_stays_whole_where_it_can_and_is_closed_and_reopened_where_not() {
        let rows = |n: usize| "select 1;\n".repeat(n);
        let text = format!("{}\n\n```sql\n{}```\nend", "word ".repeat(60), rows(15));
        let parts = split(&text, 400);
        assert_eq!(parts.len(), 2, "{parts:?}");
        assert!(parts[1].starts_with("```sql\nselect 1;") && parts[1].ends_with("```\nend"));
        let parts = split(&format!("before\n```sql\n{}```\nafter", rows(100)), 400);
        assert!(parts.len() > 2, "{parts:?}");
        assert!(parts[1..].iter().all(|p| p.starts_with("```sql\nselect 1;")), "{parts:?}");
        assert!(parts[..parts.len() - 1].iter().all(|p| p.ends_with(";\n```")), "{parts:?}");
    }

    #[test]
    fn what_grows_leaves_the_parts_before_its_last_two_as_they_are() {
        let text: Vec<String> =
            (0..40).map(|n| format!("sentence {n} of {}", "an answer ".repeat(n % 7))).collect();
        let mut before: Vec<String> = Vec::new();
        for n in 1..=text.len() {
            let parts = split(&text[..n].join("\n"), 400);
            let same = before.len().saturating_sub(2);
            assert_eq!(parts[..same.min(parts.len())], before[..same]);
            before = parts;
        }
    }

    fn any_line() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "[a-z <>&@`*_.]{0,60}",
            2 => Just(String::new()),
            1 => ".{0,300}",
            1 => Just("```sql".to_owned()),
            1 => Just("```".to_owned()),
            1 => Just("````rust,a long name of a language".to_owned()),
            1 => "[a-zא-ת😀]{300,900}",
        ]
    }

    proptest! {
        #[test]
        fn parts_put_together_are_the_text_and_each_fits(
            lines in proptest::collection::vec(any_line(), 0..40), room in 300_usize..1_200,
        ) {
            let text = lines.join("\n");
            let parts = split(&text, room);
            prop_assert_eq!(read(&parts), read(std::slice::from_ref(&text)));
            let (last, others) = parts.split_last().expect("there is always one");
            for part in others {
                prop_assert!(weight(part) <= room, "{} {part:?}", weight(part));
                prop_assert!(!open_at_end(part), "{part:?}");
            }
            prop_assert!(weight(last) <= room, "{last:?}");
        }
    }
}
