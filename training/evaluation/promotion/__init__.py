"""Whether one bundle may take the place of another: both judged by the same data, compared by pairs."""
