"""The demo: a small world of items and users with real media files, and small backbones trained for it."""
