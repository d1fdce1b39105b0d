"""Covers and videos put into words by a vision-language model, so that text encoders can read them."""
