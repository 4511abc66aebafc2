"""Commands beside Lightning's: data made and checked without training."""
