"""A harness with real processes: a cluster is disturbed while clients revoke, verify and use credentials; what they saw
is recorded, and a checker that knows nothing of the code judges the record (design 5, "Layers above").

history   what was recorded                                      (pure)
checker   which invariants the record breaks                     (pure)
plan      what is done to the cluster, from a seed               (pure)
verbs     how it is done to processes, disks, links and clocks   (I/O)
clients   who revokes, verifies and uses, and writes it down     (I/O)
harness   one history: a cluster, its plan, its clients          (I/O)
report    what many histories come to                            (pure)
"""
