"""What experiments came to, to look at: one HTML page, files of every plot, comparisons, and the page of results.

```
result.json ─▶ record ─▶ plots (latency, course, quantiles) ─▶ drawing ─▶ page ◀─ sections ◀─ words
                   ├──▶ comparison ─▶ a table in the terminal            └────▶ docs/results/*.svg
                   └──▶ published ◀─▶ docs/data/results.json
                            └──▶ results_page ─▶ docs/results.md
```

Only `folder` and `console` read and write files. matplotlib is imported by `drawing` and what it draws with, when
something is drawn, so that other commands start fast.
"""
