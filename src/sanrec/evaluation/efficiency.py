"""One number for what training costs: TPME, of time, parameters and memory (IISAN, arXiv 2404.02059).

Arrays of N systems that were measured on one machine; in any units, since only the place between the least and the
most of them counts.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

WEIGHTS = {"seconds": 0.45, "parameters": 0.1, "memory": 0.45}
"""How much each counts: speed and memory limit what can be trained at all, the number of parameters hardly."""


def tpme(seconds: ArrayLike, parameters: ArrayLike, memory: ArrayLike) -> NDArray[np.float64]:
    """Training-time, Parameter and GPU Memory Efficiency of N systems: the lower, the cheaper.

        TPME = 0.45 t + 0.1 p + 0.45 m,    t = (seconds - min) / (max - min), p and m likewise

    with minimum and maximum over the N systems given. So it says how systems lie to each other within one comparison;
    another set of systems gives the same system another value. 1 is dearest in all three, 0 cheapest in all three.

    Args:
        seconds: [N] training time per epoch.
        parameters: [N] trainable parameters.
        memory: [N] peak memory.

    Returns:
        [N] float64 between 0 and 1.

    Raises:
        ValueError: lengths that differ, nothing to compare, or a value that is negative or no number.
    """
    columns = {"seconds": seconds, "parameters": parameters, "memory": memory}
    arrays = {name: np.asarray(values, np.float64) for name, values in columns.items()}
    shapes = {values.shape for values in arrays.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1 or next(iter(shapes)) == (0,):
        raise ValueError(f"one value of each per system, not {', '.join(str(v.shape) for v in arrays.values())}")
    for name, values in arrays.items():
        if not (np.isfinite(values) & (values >= 0)).all():
            raise ValueError(f"{name} are numbers from 0 up, not {values.tolist()}")
    return sum((WEIGHTS[name] * min_max(values) for name, values in arrays.items()), np.zeros(shapes.pop()))


def min_max(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values [N] moved and scaled to run from 0 to 1; zeros where all are the same."""
    span = values.max() - values.min()
    return (values - values.min()) / span if span > 0 else np.zeros_like(values)
