"""Files, checkpoints and configurations that are damaged at random, and what the package makes of them."""
