"""Faster ways to compute the pointwise parts of a network; the same results up to round-off."""
