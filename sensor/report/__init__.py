"""A page for people who were not there: what a capture or a file of alerts shows, as one self-contained HTML file.

The way through: `inputs` tells captures from alerts, sensor.alerts.reading reads flowvigil's JSON lines and counts
those it cannot read, `digest` folds them into one entry an episode, `coverage` says how much was looked at; `page`
puts the sections together, `markup` escapes, `publish` writes. A capture goes the same way: its alerts are the lines
that `read` writes.

The page knows no clock and holds no script, link or font: the same input gives the same bytes.
"""
