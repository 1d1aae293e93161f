//! Records of all kinds: one row each, its JSON body beside the few columns it is found by.

use rusqlite::{OptionalExtension as _, params, params_from_iter, types::Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::sql::{Rows, Tx, fault};
use crate::model::{
    Alert, Anomaly, Change, Classifier, Diagnosis, Evidence, Fault, Harmless, Incident, Prediction,
    Proposal, Run, Silence, Time, TimelineEntry, Tuning, topology::Edge,
};

/// The columns that a record is found by; what does not apply stays empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// Its time (event time), for ranges and order.
    pub at: Time,
    /// Its state, such as `open`.
    pub state: String,
    /// Id of what it belongs to, such as its incident.
    pub parent: String,
    /// What it is about: an entity, a fingerprint.
    pub subject: String,
}

/// Something that is kept as one row. Any module may keep its own kind.
pub trait Record: Serialize + DeserializeOwned + Send + 'static {
    /// The kind's name; unique in the program and never changed.
    const KIND: &'static str;
    /// Its id, unique within the kind.
    fn key(&self) -> String;
    /// What it is found by.
    fn index(&self) -> Index;
}

/// Which records of a kind, and in which order.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Any of these states; empty: all.
    pub states: Vec<String>,
    /// Only with this parent.
    pub parent: Option<String>,
    /// Only with this subject.
    pub subject: Option<String>,
    /// Not before.
    pub since: Option<Time>,
    /// Before.
    pub until: Option<Time>,
    /// Only past the record with this time and id, in the filter's order: where a list went on.
    pub past: Option<(Time, String)>,
    /// At most so many; 0: all.
    pub limit: usize,
    /// Newest first instead of oldest first.
    pub newest_first: bool,
}

impl Filter {
    /// All of a kind.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Those that belong to `parent`.
    #[must_use]
    pub fn parent(parent: impl ToString) -> Self {
        Self { parent: Some(parent.to_string()), ..Self::default() }
    }

    /// Those in any of these states.
    #[must_use]
    pub fn states<S: ToString>(states: impl IntoIterator<Item = S>) -> Self {
        Self { states: states.into_iter().map(|s| s.to_string()).collect(), ..Self::default() }
    }

    /// Those about `subject`.
    #[must_use]
    pub fn subject(subject: impl ToString) -> Self {
        Self { subject: Some(subject.to_string()), ..Self::default() }
    }

    /// Only from `since` on.
    #[must_use]
    pub fn since(mut self, since: Time) -> Self {
        self.since = Some(since);
        self
    }

    /// Only before `until`.
    #[must_use]
    pub fn until(mut self, until: Time) -> Self {
        self.until = Some(until);
        self
    }

    /// The newest `n`, newest first.
    #[must_use]
    pub fn newest(mut self, n: usize) -> Self {
        self.newest_first = true;
        self.limit = n;
        self
    }
}

fn read_body<R: Record>(body: &str) -> Result<R, Fault> {
    serde_json::from_str(body)
        .map_err(|e| Fault::permanent(format!("a stored {} can't be read", R::KIND), e))
}

impl Rows<'_> {
    /// One record by its id.
    ///
    /// # Errors
    /// The database failed or the stored body can't be read.
    pub fn get<R: Record>(&self, id: impl ToString) -> Result<Option<R>, Fault> {
        let body: Option<String> = self
            .conn
            .prepare_cached("SELECT body FROM record WHERE kind = ? AND id = ?")
            .and_then(|mut s| {
                s.query_row(params![R::KIND, id.to_string()], |r| r.get(0)).optional()
            })
            .map_err(|e| fault("reading a record", e))?;
        body.map(|b| read_body(&b)).transpose()
    }

    /// All records that the filter takes, ordered by time, then id.
    ///
    /// # Errors
    /// The database failed or a stored body can't be read.
    pub fn list<R: Record>(&self, filter: &Filter) -> Result<Vec<R>, Fault> {
        let (sql, values) = query("body", R::KIND, filter);
        let run = || -> rusqlite::Result<Vec<String>> {
            let mut statement = self.conn.prepare_cached(&sql)?;
            statement.query_map(params_from_iter(values), |r| r.get(0))?.collect()
        };
        let bodies = run().map_err(|e| fault("listing records", e))?;
        bodies.iter().map(|b| read_body(b)).collect()
    }

    /// How many records the filter takes.
    ///
    /// # Errors
    /// The database failed.
    pub fn count<R: Record>(&self, filter: &Filter) -> Result<u64, Fault> {
        let (sql, values) = query("count(*)", R::KIND, &Filter { limit: 0, ..filter.clone() });
        self.conn
            .prepare_cached(&sql)
            .and_then(|mut s| s.query_row(params_from_iter(values), |r| r.get::<_, i64>(0)))
            .map(i64::unsigned_abs)
            .map_err(|e| fault("counting records", e))
    }

    /// A small single value by its key.
    ///
    /// # Errors
    /// The database failed or the value has another shape.
    pub fn value<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Fault> {
        let body: Option<String> = self
            .conn
            .prepare_cached("SELECT body FROM value WHERE key = ?")
            .and_then(|mut s| s.query_row([key], |r| r.get(0)).optional())
            .map_err(|e| fault("reading a value", e))?;
        body.map(|b| serde_json::from_str(&b))
            .transpose()
            .map_err(|e| Fault::permanent(format!("the stored value `{key}` can't be read"), e))
    }
}

pub(super) fn query(columns: &str, kind: &str, filter: &Filter) -> (String, Vec<Value>) {
    let mut sql = format!("SELECT {columns} FROM record WHERE kind = ?");
    let mut values = vec![Value::from(kind.to_owned())];
    if !filter.states.is_empty() {
        let marks = vec!["?"; filter.states.len()].join(",");
        sql.push_str(&format!(" AND state IN ({marks})"));
        values.extend(filter.states.iter().cloned().map(Value::from));
    }
    for (column, text) in [("parent", &filter.parent), ("subject", &filter.subject)] {
        if let Some(text) = text {
            sql.push_str(&format!(" AND {column} = ?"));
            values.push(Value::from(text.clone()));
        }
    }
    for (op, time) in [(">=", filter.since), ("<", filter.until)] {
        if let Some(time) = time {
            sql.push_str(&format!(" AND at {op} ?"));
            values.push(Value::from(time.ms()));
        }
    }
    if let Some((at, id)) = &filter.past {
        let op = if filter.newest_first { "<" } else { ">" };
        sql.push_str(&format!(" AND (at, id) {op} (?, ?)"));
        values.extend([Value::from(at.ms()), Value::from(id.clone())]);
    }
    if columns != "count(*)" {
        let order = if filter.newest_first { "DESC" } else { "ASC" };
        sql.push_str(&format!(" ORDER BY at {order}, id {order}"));
    }
    if filter.limit > 0 {
        sql.push_str(" LIMIT ?");
        values.push(Value::from(filter.limit as i64));
    }
    (sql, values)
}

impl Tx<'_> {
    /// Writes a record, in place of the one with the same id.
    ///
    /// # Errors
    /// The database failed.
    pub fn put<R: Record>(&self, record: &R) -> Result<(), Fault> {
        let Index { at, state, parent, subject } = record.index();
        let body = body_of(record)?;
        self.conn
            .prepare_cached(
                "INSERT INTO record (kind, id, at, state, parent, subject, revision, body) \
                 VALUES (?, ?, ?, ?, ?, ?, 1, ?) \
                 ON CONFLICT (kind, id) DO UPDATE SET at = excluded.at, state = excluded.state, \
                 parent = excluded.parent, subject = excluded.subject, \
                 revision = revision + 1, body = excluded.body",
            )
            .and_then(|mut s| {
                s.execute(params![R::KIND, record.key(), at.ms(), state, parent, subject, body])
            })
            .map_err(|e| fault("writing a record", e))?;
        Ok(())
    }

    /// Writes a record unless one with its id is there; says whether it was written.
    ///
    /// # Errors
    /// The database failed.
    pub fn put_new<R: Record>(&self, record: &R) -> Result<bool, Fault> {
        let Index { at, state, parent, subject } = record.index();
        let body = body_of(record)?;
        self.conn
            .prepare_cached(
                "INSERT INTO record (kind, id, at, state, parent, subject, revision, body) \
                 VALUES (?, ?, ?, ?, ?, ?, 1, ?) ON CONFLICT (kind, id) DO NOTHING",
            )
            .and_then(|mut s| {
                s.execute(params![R::KIND, record.key(), at.ms(), state, parent, subject, body])
            })
            .map(|n| n == 1)
            .map_err(|e| fault("writing a record", e))
    }

    /// Compare-and-set: writes the record only if the stored one is in state `from`; says whether
    /// it was. This is what makes a claim single.
    ///
    /// # Errors
    /// The database failed.
    pub fn replace_in_state<R: Record>(&self, record: &R, from: &str) -> Result<bool, Fault> {
        let Index { at, state, parent, subject } = record.index();
        let body = body_of(record)?;
        self.conn
            .prepare_cached(
                "UPDATE record SET at = ?, state = ?, parent = ?, subject = ?, \
                 revision = revision + 1, body = ? WHERE kind = ? AND id = ? AND state = ?",
            )
            .and_then(|mut s| {
                s.execute(params![
                    at.ms(),
                    state,
                    parent,
                    subject,
                    body,
                    R::KIND,
                    record.key(),
                    from
                ])
            })
            .map(|n| n == 1)
            .map_err(|e| fault("replacing a record", e))
    }

    /// Removes a record; says whether it was there.
    ///
    /// # Errors
    /// The database failed.
    pub fn remove<R: Record>(&self, id: impl ToString) -> Result<bool, Fault> {
        self.conn
            .prepare_cached("DELETE FROM record WHERE kind = ? AND id = ?")
            .and_then(|mut s| s.execute(params![R::KIND, id.to_string()]))
            .map(|n| n == 1)
            .map_err(|e| fault("removing a record", e))
    }

    /// Writes a small single value.
    ///
    /// # Errors
    /// The database failed.
    pub fn put_value<T: Serialize>(&self, key: &str, value: &T) -> Result<(), Fault> {
        let body = serde_json::to_string(value)
            .map_err(|e| Fault::permanent(format!("the value `{key}` can't be written"), e))?;
        self.conn
            .prepare_cached(
                "INSERT INTO value (key, body) VALUES (?, ?) \
                 ON CONFLICT (key) DO UPDATE SET body = excluded.body",
            )
            .and_then(|mut s| s.execute(params![key, body]))
            .map_err(|e| fault("writing a value", e))?;
        Ok(())
    }

    /// Counts the value under `key` up by one and gives the new count.
    ///
    /// # Errors
    /// The database failed.
    pub fn next_number(&self, key: &str) -> Result<u64, Fault> {
        let next = self.value::<u64>(key)?.unwrap_or(0) + 1;
        self.put_value(key, &next)?;
        Ok(next)
    }
}

fn body_of<R: Record>(record: &R) -> Result<String, Fault> {
    serde_json::to_string(record)
        .map_err(|e| Fault::permanent(format!("a {} can't be written", R::KIND), e))
}

macro_rules! records {
    ($($type:ty = $kind:literal, |$r:ident| $key:expr, $index:expr;)*) => {$(
        impl Record for $type {
            const KIND: &'static str = $kind;
            fn key(&self) -> String {
                let $r = self;
                $key.to_string()
            }
            fn index(&self) -> Index {
                let $r = self;
                $index
            }
        }
    )*};
}

fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        _ => String::new(),
    }
}

records! {
    Anomaly = "anomaly", |r| r.id, Index {
        at: r.since,
        state: if r.until.is_some() { "ended" } else { "open" }.into(),
        subject: r.subject.entity().to_string(),
        ..Index::default()
    };
    Alert = "alert", |r| r.id, Index {
        at: r.starts_at,
        state: word(&r.status),
        parent: r.incident.map(|i| i.to_string()).unwrap_or_default(),
        subject: r.fingerprint.to_string(),
    };
    Incident = "incident", |r| r.id, Index {
        at: r.opened_at,
        state: r.state.as_str().into(),
        parent: r.merged_into.map(|i| i.to_string()).unwrap_or_default(),
        subject: r.entities.first().map(ToString::to_string).unwrap_or_default(),
    };
    TimelineEntry = "timeline", |r| r.id, Index {
        at: r.at,
        state: word(&r.kind),
        parent: r.incident.to_string(),
        subject: r.subject.clone().unwrap_or_default(),
    };
    Diagnosis = "diagnosis", |r| r.incident, Index {
        at: r.at,
        parent: r.incident.to_string(),
        ..Index::default()
    };
    Evidence = "evidence", |r| r.id, Index {
        at: r.at,
        parent: r.incident.map(|i| i.to_string()).unwrap_or_default(),
        ..Index::default()
    };
    Change = "change", |r| r.id, Index {
        at: r.at,
        state: r.status.clone(),
        subject: r.entity.to_string(),
        ..Index::default()
    };
    Silence = "silence", |r| r.id, Index { at: r.starts_at, ..Index::default() };
    Proposal = "proposal", |r| r.id, Index {
        at: r.created_at,
        state: r.state.as_str().into(),
        parent: r.incident.to_string(),
        subject: format!("{}/{}", r.plan.runbook, r.plan.action),
    };
    Run = "run", |r| r.id, Index {
        at: r.started_at,
        state: word(&r.state),
        parent: r.incident.to_string(),
        subject: r.proposal.to_string(),
    };
    Tuning = "tuning", |r| r.id, Index {
        at: r.at,
        state: r.state.as_str().into(),
        parent: r.scope.entity.to_string(),
        subject: r.scope.to_string(),
    };
    Harmless = "harmless", |r| r.id, Index {
        at: r.at,
        state: r.state.as_str().into(),
        parent: r.scope.entity.to_string(),
        subject: r.scope.to_string(),
    };
    Classifier = "classifier", |r| r.version, Index {
        at: r.card.trained_at,
        state: r.state.as_str().into(),
        subject: r.hash.clone(),
        ..Index::default()
    };
    Prediction = "prediction", |r| format!("{}/{}", r.incident, r.version), Index {
        at: r.at,
        state: if r.shown { "shown" } else { "shadow" }.into(),
        parent: r.incident.to_string(),
        subject: r.version.to_string(),
    };
    Edge = "edge", |r| format!("{} {} {}", r.from, word(&r.kind), r.to), Index {
        at: r.last_seen,
        state: word(&r.kind),
        parent: r.from.to_string(),
        subject: r.to.to_string(),
    };
}
