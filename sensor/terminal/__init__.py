"""Screens, which show an operator a run: interactive, scrolling, one line, a log, or silent."""
