"""The replication core in virtual time: many nodes, one heap of events, one seed that replays everything."""
