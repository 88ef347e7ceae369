"""Evaluation: what a bundle finds in labelled flows, at thresholds that the flows had no part in."""
