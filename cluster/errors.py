"""How a command of the cluster ends badly: with what, where and how to mend it, never with a traceback."""

from __future__ import annotations


class ClusterError(Exception):
    """Bad usage or configuration: exit 2, one line per fault."""

    exit_code = 2

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Refused(ClusterError):
    """It ran and the answer is no: exit 1."""

    exit_code = 1
