"""How many threads compute, and how many of oneDNN's kernels stay."""

import os
import subprocess
import sys

import pytest
import torch

from sanrec.training.machine import KEPT_KERNELS

SHAPES = 2 * KEPT_KERNELS
SCRIPT = f"""
import torch
from sanrec.training.machine import use_threads

use_threads(1)
assert torch.get_num_threads() == 1
for _ in range(2):
    for rows in range(2, {SHAPES} + 2):
        torch.ones(rows, 64, dtype=torch.bfloat16) @ torch.ones(64, 64, dtype=torch.bfloat16)
"""


@pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="oneDNN has no bfloat16 products on this processor"
)
@pytest.mark.parametrize(("chosen", "hits"), [(None, 0), ("1024", SHAPES)])
def test_few_kernels_stay_unless_the_user_says_otherwise(chosen, hits):
    """Each shape is multiplied twice: the second time its kernel is at hand, or was given up for others since."""
    environment = os.environ | {"ONEDNN_VERBOSE": "profile_create", "ONEDNN_VERBOSE_TIMESTAMP": "0"}
    environment.pop("ONEDNN_PRIMITIVE_CACHE_CAPACITY", None)
    if chosen:
        environment["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] = chosen
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    made = [line for line in done.stdout.splitlines() if ",matmul," in line and "create" in line]
    assert sum("cache_miss" in line for line in made) == 2 * SHAPES - hits
    assert sum("cache_hit" in line for line in made) == hits
