"""One file per experiment: each composes parts of the library and writes its results."""
