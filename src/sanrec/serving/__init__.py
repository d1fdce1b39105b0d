"""What a finished run is for: recommendations that people can look at, and artifacts that other programs serve."""
