"""The README's table of what replication was put through, made from result files and from nothing else.

table      results ↔ the committed data, and the data as a table   (pure)
__main__   measures everything, collects it, writes the README     (I/O)
"""
