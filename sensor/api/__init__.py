"""The JSON API: rows of flows in, verdicts out, over HTTP. Nothing here is loaded but by `flowvigil serve`."""
