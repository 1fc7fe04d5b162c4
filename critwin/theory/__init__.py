"""The theory of critical windows: distances, times and bounds of noised sub-populations."""
