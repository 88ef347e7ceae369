"""Scenarios: which hosts exchange traffic, when and why; one module for each kind, benign or not."""
