"""Rollouts that were drawn elsewhere: files of counts or of branches, read, checked and counted."""
