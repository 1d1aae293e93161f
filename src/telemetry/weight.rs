//! What a message takes in memory once it is decoded, found out before it is: two bytes on the wire
//! may stand for a struct of hundreds, so that a small body may ask for gigabytes.
//!
//! The walk over protobuf knows the repeated fields of a message ([`Shape`]); everything else takes
//! no more than its own bytes. Wire format:
//! <https://protobuf.dev/programming-guides/encoding/>.

use super::Rejected;

/// Most bytes that the elements of one request may take once decoded. Exporters and Prometheus stay
/// below a tenth of it with their defaults. While a vector grows it takes half as much again.
pub(super) const MOST_BYTES: usize = 192 * 1024 * 1024;
/// The same for JSON, which is read into a tree of values first.
pub(super) const MOST_JSON_BYTES: usize = 256 * 1024 * 1024;
/// How deep messages may lie in each other, as prost has it.
const DEEPEST: u32 = 100;
/// What an object of JSON takes, about: a map with room for eleven entries.
const JSON_OBJECT: usize = 640;
/// What any other value of JSON takes.
const JSON_VALUE: usize = 32;

/// Repeated fields that a message has at most.
const MOST_FIELDS: usize = 8;
/// Elements for which a vector has room at least (as the standard library has it for elements of up
/// to a KiB).
const LEAST_ROOM: usize = 4;

/// The repeated fields of a message, and what leads to such, by their numbers.
pub(super) struct Shape(&'static [(u64, Field)]);

impl Shape {
    pub(super) const fn new(fields: &'static [(u64, Field)]) -> Self {
        assert!(fields.len() <= MOST_FIELDS, "more fields than are counted");
        Self(fields)
    }
}

/// A field.
pub(super) enum Field {
    /// A message, and the bytes of each; 0 for one that stands in its parent.
    Message(&'static Shape, usize),
    /// Texts, and the bytes of each beside its own.
    Texts(usize),
    /// Numbers of variable length, packed or not, and the bytes of each.
    Numbers(usize),
}

/// Refuses a body whose elements would take more than [`MOST_BYTES`].
///
/// # Errors
/// 413 with what to do, as `fewer` says.
pub(super) fn check(body: &[u8], shape: &Shape, fewer: &str) -> Result<(), Rejected> {
    if message(body, shape, MOST_BYTES, 0) <= MOST_BYTES {
        return Ok(());
    }
    Err(too_heavy(MOST_BYTES, fewer))
}

/// Refuses a JSON text that would take more than [`MOST_JSON_BYTES`].
///
/// # Errors
/// 413 with what to do, as `fewer` says.
pub(super) fn check_json(body: &[u8], fewer: &str) -> Result<(), Rejected> {
    if json(body) <= MOST_JSON_BYTES {
        return Ok(());
    }
    Err(too_heavy(MOST_JSON_BYTES, fewer))
}

fn too_heavy(most: usize, fewer: &str) -> Rejected {
    let message = format!("this request takes more than {most} bytes once decoded; {fewer}");
    Rejected { status: 413, message }
}

/// The bytes that the elements of a message take. Ends once they are more than `most`, and where the
/// message is broken: what decodes it says so, having taken no more than this.
fn message(mut rest: &[u8], shape: &Shape, most: usize, depth: u32) -> usize {
    let (mut bytes, mut n) = (0_usize, [0_usize; MOST_FIELDS]);
    while bytes <= most
        && let Some(key) = varint(&mut rest)
    {
        let place = shape.0.iter().position(|(number, _)| *number == key >> 3);
        let field = place.map(|p| &shape.0[p].1);
        // How many elements this is, how many bytes each takes, and what lies in them.
        let (more, each, inner) = match key & 7 {
            0 => match (varint(&mut rest), field) {
                (None, _) => break,
                (_, Some(Field::Numbers(each))) => (1, *each, 0),
                _ => continue,
            },
            2 => {
                let length = varint(&mut rest).and_then(|n| usize::try_from(n).ok());
                let Some(inner) = length.and_then(|n| rest.split_off(..n)) else { break };
                match field {
                    Some(Field::Message(shape, each)) if depth < DEEPEST => {
                        (1, *each, message(inner, shape, most - bytes, depth + 1))
                    }
                    Some(Field::Message(_, each) | Field::Texts(each)) => (1, *each, 0),
                    // A number ends with the byte whose highest bit is not set.
                    Some(Field::Numbers(each)) => {
                        (inner.iter().filter(|b| **b < 0x80).count(), *each, 0)
                    }
                    None => continue,
                }
            }
            // The fields of a group, which nobody sends any more, count as the message's own.
            3 | 4 => continue,
            1 if rest.split_off(..8).is_some() => continue,
            5 if rest.split_off(..4).is_some() => continue,
            _ => break,
        };
        let Some(known) = place.and_then(|p| n.get_mut(p)) else { continue };
        let grown = room(*known + more) - room(*known);
        *known += more;
        bytes = bytes.saturating_add(inner).saturating_add(grown.saturating_mul(each));
    }
    bytes
}

/// Elements for which a vector of `n` has room: it grows by doubling.
fn room(n: usize) -> usize {
    if n == 0 { 0 } else { n.next_power_of_two().max(LEAST_ROOM) }
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for place in 0..10 {
        let byte = *rest.split_off_first()?;
        value |= u64::from(byte & 0x7f) << (7 * place).min(63);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// The bytes that the tree of a JSON text takes beside its texts.
fn json(body: &[u8]) -> usize {
    let (mut bytes, mut within, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if within => escaped = true,
            b'"' => within = !within,
            _ if within => {}
            b'{' => bytes += JSON_OBJECT,
            b'[' | b',' => bytes += JSON_VALUE,
            _ => {}
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    static LEAF: Shape = Shape::new(&[(1, Field::Numbers(8)), (2, Field::Texts(24))]);
    static TREE: Shape =
        Shape::new(&[(1, Field::Message(&TREE, 100)), (2, Field::Message(&LEAF, 0))]);

    fn bytes(body: &[u8]) -> usize {
        message(body, &TREE, usize::MAX, 0)
    }

    #[test]
    fn elements_are_counted_where_they_lie_as_vectors_hold_them() {
        assert_eq!(bytes(&[]), 0);
        assert_eq!(bytes(&[0x0a, 0, 0x0a, 0]), 400, "two empty messages");
        assert_eq!(bytes(&[0x0a, 0].repeat(5)), 800);
        assert_eq!(bytes(&[0x0a, 2, 0x0a, 0]), 800, "one in the other");
        assert_eq!(bytes(&[0x12, 5, 0x0a, 3, 1, 0x80, 1]), 32, "packed numbers");
        assert_eq!(bytes(&[0x12, 2, 0x08, 1]), 32, "one that is not packed");
        assert_eq!(bytes(&[0x12, 5, 0x12, 3, b'a', b'b', b'c']), 96, "a text");
        assert_eq!(bytes(&[0x1a, 2, 0x0a, 0, 0x21, 1, 2, 3, 4, 5, 6, 7, 8, 0x2d, 1, 2, 3, 4]), 0);
        assert_eq!(bytes(&[0x0a, 0, 0x0a, 9, 1]), 400, "it breaks off");
        assert!(message(&[0x0a, 0].repeat(1_000_000), &TREE, 10_000, 0) < 20_000, "it ends early");
        let mut deep = Vec::new();
        for _ in 0..40 {
            let length = u8::try_from(deep.len()).expect("short");
            deep = [&[0x0a, length], deep.as_slice()].concat();
        }
        assert_eq!(bytes(&deep), 16_000);
    }

    #[test]
    fn values_of_json_are_counted_and_texts_are_not() {
        assert_eq!(json(br#"{"a":[1,2],"b":"{[,\"{"}"#), JSON_OBJECT + 3 * JSON_VALUE);
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(bytes(&body) <= 400 * body.len());
            prop_assert!(json(&body) <= JSON_OBJECT * body.len());
        }
    }
}
