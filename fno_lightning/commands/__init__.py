"""Commands beside Lightning's: data made and checked without training, and a transfer-learning study."""
