"""Window rules, one per file."""
