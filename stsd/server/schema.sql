-- The journal of a node: what a restart must find again. Written before it is acknowledged.
-- One transaction: a process that dies while it makes the file leaves an empty one, and the next start makes it again.

BEGIN;

CREATE TABLE meta (
  name  TEXT PRIMARY KEY,   -- format, incarnation, epoch, joined
  value TEXT NOT NULL
) WITHOUT ROWID;

-- One row per entry of every origin's log: sequences of an origin are contiguous from 1.
CREATE TABLE entries (
  origin   TEXT NOT NULL,      -- region/node/incarnation
  sequence INTEGER NOT NULL,
  body     BLOB NOT NULL,      -- the entry as its origin encoded it
  PRIMARY KEY (origin, sequence)
) WITHOUT ROWID;

INSERT INTO meta VALUES ('format', '1');
COMMIT;
