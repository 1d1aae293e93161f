-- The first shape of the store. Times are milliseconds since the Unix epoch (UTC).

-- Accepted batches, in order of acceptance; trimmed once detector snapshots have passed them.
CREATE TABLE journal (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  source TEXT NOT NULL,
  body BLOB NOT NULL
) STRICT;

-- All records of stages: alerts, incidents, proposals and so on, one row each.
CREATE TABLE record (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  at INTEGER NOT NULL,
  state TEXT NOT NULL,
  parent TEXT NOT NULL,
  subject TEXT NOT NULL,
  revision INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX record_at ON record (kind, at);
CREATE INDEX record_state ON record (kind, state, at);
CREATE INDEX record_parent ON record (kind, parent, at);
CREATE INDEX record_subject ON record (kind, subject, at);

-- Small single values: cursors, counters, settings.
CREATE TABLE value (key TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- Snapshots of detector state with the journal position that they cover.
CREATE TABLE snapshot (name TEXT PRIMARY KEY, seq INTEGER NOT NULL, body BLOB NOT NULL) STRICT;

-- Metric series and their points: new points as rows, older ones packed into chunks.
CREATE TABLE series (
  id INTEGER PRIMARY KEY,
  entity TEXT NOT NULL,
  metric TEXT NOT NULL,
  indicator TEXT NOT NULL,
  seen_at INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX series_entity ON series (entity);
CREATE TABLE point (
  series INTEGER NOT NULL,
  at INTEGER NOT NULL,
  value REAL NOT NULL,
  PRIMARY KEY (series, at)
) STRICT, WITHOUT ROWID;
CREATE TABLE chunk (
  series INTEGER NOT NULL,
  since INTEGER NOT NULL,
  until INTEGER NOT NULL,
  n INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (series, since)
) STRICT, WITHOUT ROWID;
CREATE INDEX chunk_until ON chunk (until);

-- Log lines with full-text search over the body.
CREATE TABLE log (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  entity TEXT NOT NULL,
  level INTEGER NOT NULL,
  body TEXT NOT NULL,
  trace_id TEXT,
  attributes TEXT NOT NULL
) STRICT;
CREATE INDEX log_entity ON log (entity, at);
CREATE INDEX log_at ON log (at);
CREATE VIRTUAL TABLE log_text USING fts5(body, content='log', content_rowid='id', tokenize="unicode61 tokenchars '_-'");
CREATE TRIGGER log_insert AFTER INSERT ON log BEGIN
  INSERT INTO log_text (rowid, body) VALUES (new.id, new.body);
END;
CREATE TRIGGER log_delete AFTER DELETE ON log BEGIN
  INSERT INTO log_text (log_text, rowid, body) VALUES ('delete', old.id, old.body);
END;

-- Spans, and calls per edge and minute.
CREATE TABLE span (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  entity TEXT NOT NULL,
  trace_id TEXT NOT NULL,
  failed INTEGER NOT NULL,
  duration_ms REAL NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX span_at ON span (at);
CREATE INDEX span_entity ON span (entity, at);
CREATE INDEX span_trace ON span (trace_id);
CREATE TABLE edge_minute (
  source TEXT NOT NULL,
  target TEXT NOT NULL,
  minute INTEGER NOT NULL,
  n INTEGER NOT NULL,
  n_failed INTEGER NOT NULL,
  sum_ms REAL NOT NULL,
  max_ms REAL NOT NULL,
  PRIMARY KEY (source, target, minute)
) STRICT, WITHOUT ROWID;
CREATE INDEX edge_minute_at ON edge_minute (minute);

-- Append-only, hash-chained decisions.
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT;
CREATE INDEX audit_subject ON audit (subject);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

-- Text that answers are grounded on: runbooks, incidents, reviews.
CREATE VIRTUAL TABLE document USING fts5(kind UNINDEXED, id UNINDEXED, title, tags, body, tokenize='porter unicode61');
