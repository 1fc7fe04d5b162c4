"""What the benchmark of window rules is made of."""
