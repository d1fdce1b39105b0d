"""Recommenders trained on pairs: a user and an item of the training interactions, beside a sampled item."""
