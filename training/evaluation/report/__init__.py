"""The evaluation as a page: charts, tables and sentences, all of them computed from the same figures as the JSON."""
