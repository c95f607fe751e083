"""Figures and tables as functions: each returns a matplotlib Figure, all in one style."""
