"""From finished runs and counted data sets to tables that people read."""
