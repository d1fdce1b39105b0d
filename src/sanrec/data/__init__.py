"""From raw interaction and title files to the tables of corpora and data sets."""
