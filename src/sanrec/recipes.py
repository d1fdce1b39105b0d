"""Recipes: values of many settings under one name (`recipe`), for methods that train on sequences.

`papers` is what the methods' papers have, the default. `modern` was found on real data, on the validation split of
Amazon Scientific with titles alone: docs/real-data.md has what was tried.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

PAPERS, MODERN = "papers", "modern"
RECIPES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        PAPERS: MappingProxyType({}),
        MODERN: MappingProxyType(
            {
                "adapter_width": 256,
                "activation": "gelu",
                "standardize": True,
                "recommender_width": 128,
                "learning_rate": 1e-3,
                "adapter_learning_rate": 1e-3,
                "cosine_temperature": 0.07,
                "weight_averaging": 0.99,
                "batch_size": 256,
            }
        ),
    }
)


def recipe_of(name: str, valid: Collection[str], kept: bool = True) -> dict[str, Any]:
    """The recipe's values of the settings that a method has; none for a name that is no recipe's.

    Where hidden states are not `kept` (`cached` is false) there is no mean over the items to standardize them by.
    """
    idle = () if kept else ("standardize",)
    return {key: value for key, value in RECIPES.get(name, {}).items() if key in valid and key not in idle}
