-- The journal of a node: what a restart must find again. Written before it is acknowledged.
-- One transaction: a process that dies while it makes the file leaves an empty one, and the next start makes it again.

BEGIN;

CREATE TABLE meta (
  name  TEXT PRIMARY KEY,   -- format, incarnation, epoch, joined
  value TEXT NOT NULL
) WITHOUT ROWID;

-- One row per batch of every origin's log; what an origin stored in one commit is one batch. Pruned ones are deleted.
CREATE TABLE batches (
  origin TEXT NOT NULL,      -- region/node/incarnation
  first  INTEGER NOT NULL,   -- sequence of the first entry; an origin's sequences run from 1 without gaps
  body   BLOB NOT NULL,      -- the batch as its origin signed it; its chain hash is the row's checksum
  PRIMARY KEY (origin, first)
) WITHOUT ROWID;

-- Which key each origin signs with, as the cluster authenticated it.
CREATE TABLE identities (
  origin     TEXT PRIMARY KEY,
  public_key BLOB NOT NULL,  -- Ed25519
  proof      BLOB NOT NULL
) WITHOUT ROWID;

-- Proof that an origin wrote two histories; nothing more of it is applied.
CREATE TABLE forks (
  origin TEXT PRIMARY KEY,
  held   BLOB NOT NULL,      -- two signed batches that exclude each other
  other  BLOB NOT NULL
) WITHOUT ROWID;

-- Where the logs begin that were pruned: one signed checkpoint, of which the signature is the checksum.
CREATE TABLE checkpoint (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  body BLOB NOT NULL
);

-- How often MFA codes of a device were refused. One window a device: what was before does not count any more.
CREATE TABLE failed_codes (
  device   TEXT PRIMARY KEY,   -- serial number
  period   INTEGER NOT NULL,   -- the three minutes of UTC, counted from 1970
  failures INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO meta VALUES ('format', '4');
COMMIT;
