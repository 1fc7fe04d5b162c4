"""Features, one per file."""
