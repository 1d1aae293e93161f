//! What a text says once what varies is masked, for those who compare texts without keeping templates.

use super::lex::{Kind, lex};

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A word, a name or a key: a part of the statement.
    Word(&'a str),
    /// Surely varies: a number, an address, an id, or several of these in a row.
    Varies(&'a str),
    /// Punctuation.
    Mark,
}

/// The pieces of a text in order, by the masking that log templates are made with. Of a long text
/// its beginning, at most 2,048 bytes and 128 pieces.
#[must_use]
pub fn masked(text: &str) -> Vec<Piece<'_>> {
    let mut tokens = Vec::new();
    lex(text.as_bytes(), &mut tokens);
    let piece = |kind: Kind, range: std::ops::Range<usize>| {
        // A long text may be cut within a character.
        let piece = text.get(range).unwrap_or_default();
        match kind {
            Kind::Var => Piece::Varies(piece),
            Kind::Word | Kind::Name | Kind::Key => Piece::Word(piece),
            Kind::Punct => Piece::Mark,
        }
    };
    tokens.iter().map(|t| piece(t.kind, t.start as usize..t.end as usize)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_and_what_varies_is_masked() {
        let pieces = masked("timeout after 30s, id=6f9c2b7a11");
        assert_eq!(
            pieces,
            [
                Piece::Word("timeout"),
                Piece::Word("after"),
                Piece::Varies("30s"),
                Piece::Mark,
                Piece::Word("id"),
                Piece::Mark,
                Piece::Varies("6f9c2b7a11"),
            ]
        );
        assert!(masked("").is_empty());
    }

    #[test]
    fn a_text_that_is_cut_within_a_character_is_read_all_the_same() {
        let long = "ä".repeat(1_500);
        let pieces = masked(&long);
        assert!(pieces.len() <= 128 && !pieces.is_empty(), "{pieces:?}");
    }
}
