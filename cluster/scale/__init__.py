"""Thirty regions of a thousand nodes, in virtual time (`python -m cluster sim`): what a machine has no room for.

Up to 500 nodes are simulated exactly, with the real replication core in each (`exact`); beyond that the way of a
revocation is drawn hop by hop (`tree`), and backlogs, queues and costs are computed (`partition`, `capacity`, `costs`,
`stampede`). `exact` and `tree` are compared at a size that both can do. `plan` puts it together and judges it.
"""
