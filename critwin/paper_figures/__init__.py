"""Figures across finished runs: what a table would take many columns for."""
