"""Item encoders, fusion and user encoder: small modules of pure tensors, no paths, no config file, no user names."""
