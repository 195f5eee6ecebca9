"""stsd: one regional node of a security token service."""

__version__ = "0.1.0"
