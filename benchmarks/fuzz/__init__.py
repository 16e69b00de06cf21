"""Seeded mutations of files and requests: the same ones for the same seed, on every machine."""
