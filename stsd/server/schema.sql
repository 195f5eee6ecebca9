-- The journal of a node: what a restart must find again. Written before it is acknowledged.
-- One transaction: a process that dies while it makes the file leaves an empty one, and the next start makes it again.

BEGIN;

CREATE TABLE meta (
  name  TEXT PRIMARY KEY,   -- format, incarnation, epoch, joined
  value TEXT NOT NULL
) WITHOUT ROWID;

-- One row per batch of every origin's log; what an origin stored in one commit is one batch.
CREATE TABLE batches (
  origin TEXT NOT NULL,      -- region/node/incarnation
  first  INTEGER NOT NULL,   -- sequence of the first entry; an origin's sequences run from 1 without gaps
  body   BLOB NOT NULL,      -- the batch as its origin encoded it
  PRIMARY KEY (origin, first)
) WITHOUT ROWID;

INSERT INTO meta VALUES ('format', '1');
COMMIT;
