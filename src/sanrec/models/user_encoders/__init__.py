"""User encoders beside the transformer of `models.users`: histories of item vectors to states, padding never seen."""
