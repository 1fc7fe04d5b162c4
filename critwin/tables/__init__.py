"""Tables for a paper from the records of finished runs: described once, written in four forms."""
