"""What tags may look like: spec 3.0.2, 3.2.6 and 7.3, the same for stored tags and for those of a session.

Python's `re` has no classes of Unicode categories: `\\w` is letters (L), numbers (N) and `_`; separators (Z) are
listed.
"""

from __future__ import annotations

import re

MAX_TAGS = 50
MAX_KEY = 128
MAX_VALUE = 256
"""Code points."""

_SEPARATORS = "\u0020\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
KEY_CHARACTERS = re.compile(rf"[\w{_SEPARATORS}.:/=+\-@]+")
VALUE_CHARACTERS = re.compile(rf"[\w{_SEPARATORS}.:/=+\-@]*")
PATTERN = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]"
"""As messages print it, followed by `+` or `*`."""
