"""Labelled captures of several networks as a dataset: an index of files, the truth of their flows, and one table."""
