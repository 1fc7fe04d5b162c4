"""Problem sets: one loader per benchmark, each giving problems with reference answers."""
