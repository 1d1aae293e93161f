//! Full-text search over what answers are grounded on (FTS5, ranked by BM25).

use rusqlite::{OptionalExtension as _, params};

use super::sql::{Rows, Tx, fault};
use crate::model::Fault;

/// A text to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What it is: `runbook`, `incident`, `review`.
    pub kind: String,
    /// Its id within the kind.
    pub id: String,
    /// Its title; weighs most.
    pub title: String,
    /// Services, matchers and other words it should be found by.
    pub tags: String,
    /// Its text.
    pub body: String,
}

/// A text that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// What it is.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// The passage around the hit, hits marked with `[` and `]`.
    pub excerpt: String,
    /// BM25 turned so that more is better.
    pub score: f64,
}

/// Words of free text as an FTS5 query that can't be misread as its operators, joined by `joint`
/// (` ` for all, ` OR ` for any). `None` when there is no word.
pub(super) fn fts_query(text: &str, joint: &str) -> Option<String> {
    let words: Vec<String> = text
        .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'))
        .map(|w| w.trim_matches('-'))
        .filter(|w| !w.is_empty())
        .take(32)
        .map(|w| format!("\"{w}\""))
        .collect();
    (!words.is_empty()).then(|| words.join(joint))
}

impl Tx<'_> {
    /// Writes a document, in place of the one with the same kind and id.
    ///
    /// # Errors
    /// The database failed.
    pub fn put_document(&self, d: &Document) -> Result<(), Fault> {
        self.remove_document(&d.kind, &d.id)?;
        self.conn
            .prepare_cached(
                "INSERT INTO document (kind, id, title, tags, body) VALUES (?, ?, ?, ?, ?)",
            )
            .and_then(|mut s| s.execute(params![d.kind, d.id, d.title, d.tags, d.body]))
            .map_err(|e| fault("writing a document", e))?;
        Ok(())
    }

    /// Removes all documents of a kind.
    ///
    /// # Errors
    /// The database failed.
    pub fn remove_documents(&self, kind: &str) -> Result<(), Fault> {
        self.conn
            .prepare_cached("DELETE FROM document WHERE kind = ?")
            .and_then(|mut s| s.execute(params![kind]))
            .map_err(|e| fault("removing documents", e))?;
        Ok(())
    }

    /// Removes a document.
    ///
    /// # Errors
    /// The database failed.
    pub fn remove_document(&self, kind: &str, id: &str) -> Result<(), Fault> {
        self.conn
            .prepare_cached("DELETE FROM document WHERE kind = ? AND id = ?")
            .and_then(|mut s| s.execute(params![kind, id]))
            .map_err(|e| fault("removing a document", e))?;
        Ok(())
    }
}

/// Words that questions are made of and that tell no text from another.
const STOP: [&str; 36] = [
    "a", "an", "and", "are", "at", "be", "can", "did", "do", "does", "for", "from", "have", "how",
    "i", "in", "is", "it", "me", "my", "not", "of", "on", "our", "should", "that", "the", "there",
    "this", "to", "was", "we", "what", "which", "with", "you",
];

/// The text without such words; as it is where nothing else would be left.
fn telling(text: &str) -> String {
    let words = |word: &&str| {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        !STOP.contains(&bare.as_str())
    };
    let kept: Vec<&str> = text.split_whitespace().filter(words).collect();
    if kept.is_empty() { text.to_owned() } else { kept.join(" ") }
}

impl Rows<'_> {
    /// One document.
    ///
    /// # Errors
    /// The database failed.
    pub fn document(&self, kind: &str, id: &str) -> Result<Option<Document>, Fault> {
        self.conn
            .prepare_cached(
                "SELECT kind, id, title, tags, body FROM document WHERE kind = ? AND id = ?",
            )
            .and_then(|mut s| {
                s.query_row(params![kind, id], |r| {
                    let (kind, id, title) = (r.get(0)?, r.get(1)?, r.get(2)?);
                    Ok(Document { kind, id, title, tags: r.get(3)?, body: r.get(4)? })
                })
                .optional()
            })
            .map_err(|e| fault("reading a document", e))
    }

    /// Documents with any of the words, best first; `kind` narrows.
    ///
    /// # Errors
    /// The database failed.
    pub fn search(
        &self,
        text: &str,
        kind: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Found>, Fault> {
        let Some(query) = fts_query(&telling(text), " OR ") else { return Ok(Vec::new()) };
        let run = || -> rusqlite::Result<Vec<Found>> {
            let mut s = self.conn.prepare_cached(
                "SELECT kind, id, title, snippet(document, 4, '[', ']', '…', 24), \
                 -bm25(document, 0, 0, 8.0, 4.0, 1.0) AS score FROM document \
                 WHERE document MATCH ?1 AND (?2 IS NULL OR kind = ?2) \
                 ORDER BY score DESC, id LIMIT ?3",
            )?;
            s.query_map(params![query, kind, limit as i64], |r| {
                Ok(Found {
                    kind: r.get(0)?,
                    id: r.get(1)?,
                    title: r.get(2)?,
                    excerpt: r.get(3)?,
                    score: r.get(4)?,
                })
            })?
            .collect()
        };
        run().map_err(|e| fault("searching documents", e))
    }
}
