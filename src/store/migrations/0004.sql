-- Whether anything of an incident's alerts was written: counted without the alerts.
CREATE INDEX record_alerts ON record (parent, revision) WHERE kind = 'alert';
-- Without figures the planner takes it that a kind has ten records, reads all of a kind to find those
-- of one parent, and every record there is to find those of a parent whatever their kind. These are
-- round figures for a busy installation: rows, then rows for each value of the first column, of the
-- first two, and so on (sqlite.org/fileformat2.html, "The sqlite_stat1 table"). ANALYZE would take
-- them from a file that is new and therefore empty.
ANALYZE sqlite_schema;
DELETE FROM sqlite_stat1 WHERE tbl = 'record';
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
  ('record', 'record', '100000 10000 1'),
  ('record', 'record_at', '100000 10000 2 1'),
  ('record', 'record_state', '100000 10000 500 2 1'),
  ('record', 'record_parent', '100000 10000 20 1 1'),
  ('record', 'record_subject', '100000 10000 20 1 1'),
  ('record', 'record_alerts', '50000 20 2 1');
ANALYZE sqlite_schema;
