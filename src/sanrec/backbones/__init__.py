"""Pretrained encoders: which there are, how items become their inputs, and how their hidden states are stored."""
