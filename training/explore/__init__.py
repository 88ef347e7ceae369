"""Exploration of a labelled table: what a dataset holds, before anything is fitted on it.

table (what is explored) -> census, repeats, columns, correlation, comparison, hypotheses (what is found; each a module
with one public function) -> findings (the same in words) -> document (JSON) and page (HTML, by training.page).
None of it knows a detector, and nothing on the page is written by hand.
"""
