"""The layer lists that the papers and their code publish."""

import pytest

from sanrec.errors import ConfigError
from sanrec.models.layerdrop import kept_layers


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        (12, (0, 2, 4, 6, 8, 10, 12)),
        (24, (0, 4, 8, 12, 16, 20, 24)),
        (28, (0, 3, 8, 13, 18, 23, 28)),
        (32, (0, 2, 8, 14, 20, 26, 32)),
        (80, (0, 5, 20, 35, 50, 65, 80)),
    ],
)
def test_published_lists(blocks, expected):
    assert kept_layers(blocks) == expected


def test_other_numbers_and_lists():
    assert kept_layers(12, kept=1) == (0, 12)
    assert kept_layers(12, kept=12) == tuple(range(13))
    assert kept_layers(12, "1-2-12") == (0, 1, 2, 12)


@pytest.mark.parametrize(("rule", "kept"), [("even", 13), ("3-2", 6), ("0-2", 6), ("2-13", 6), ("2-2", 6)])
def test_what_a_backbone_does_not_have_is_refused(rule, kept):
    with pytest.raises(ConfigError, match="blocks"):
        kept_layers(12, rule, kept)
