"""Private: faster ways to compute parts of the layers, with the same results up to round-off."""
