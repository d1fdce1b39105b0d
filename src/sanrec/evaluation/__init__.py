"""Arrays to numbers: the rank of each user's target, the metrics that follow from it, and tests between systems."""
