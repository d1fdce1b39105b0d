"""What the literature's code does, written plainly by us: what the benchmarks measure sanrec against."""
