"""Ways to resample the same cuts of the same originals, and what each of them costs."""
