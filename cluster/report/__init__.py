"""What experiments came to, to look at: one HTML page, files of every plot, comparisons, and the page of results.

```
result.json ─▶ record ─▶ plots (latency, course, quantiles) ─▶ drawing ─▶ page ◀─ sections ◀─ words
                   └──▶ comparison ─▶ a table in the terminal            └────▶ results_page ─▶ docs/results.md
```

Only `folder` reads and writes files. matplotlib is imported by `drawing` alone, so that other commands start fast.
"""
