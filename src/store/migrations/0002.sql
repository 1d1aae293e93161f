-- What is to be sent: found by platform and state without the bodies, however much was sent before.
CREATE INDEX record_post ON record (parent, state, at, id, subject) WHERE kind = 'post';
