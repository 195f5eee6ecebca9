"""Many verifiers in one process, and what they do to the node that they ask.

`naive` is the verifier that people write first; `workers` holds thousands of either kind, `__main__` is their process,
`herd` starts it for an experiment and counts at the nodes, `checks` judges.
"""

KINDS = ("stsd.verifier", "naive")
