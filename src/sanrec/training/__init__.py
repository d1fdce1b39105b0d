"""Training one run: batches of unique items, the debiased in-batch loss, the loop, and its files."""
