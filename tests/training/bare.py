"""What a run's source of items is underneath, where items lack media."""

from sanrec.training.sources import ItemSource, MaskedSource


def bare(source: ItemSource) -> ItemSource:
    """The source that knows nothing of missing media."""
    return source.source if isinstance(source, MaskedSource) else source
