-- What was said of an incident: found without the bodies of all that was ever said.
CREATE INDEX record_incident ON record (body ->> 'incident') WHERE kind IN ('message', 'post');
