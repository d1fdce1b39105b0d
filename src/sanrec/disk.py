"""Sizes on disk: of a store of hidden states from its shapes alone (IISAN-Versa, VI-F and Figure 6), and in words."""

BYTES = {"float16": 2, "float32": 4}
UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def store_bytes(items: int, layers: int, width: int, chunk_rows: int, dtype: str = "float16") -> int:
    """Bytes of all chunks: hidden states [items, layers, width], final states [items, width] and validity [items].

    `layers` counts the embeddings. Items fill whole chunks of `chunk_rows`, the last one too. What is not in it are the
    arrays' descriptions, a few kB of JSON.

    >>> store_bytes(20_314, 81, 8192, 256), store_bytes(20_314, 7, 8192, 256)  # Llama-3-70b: full, and LayerDrop's
    (27514654720, 2684375040)
    """
    rows = -(-items // chunk_rows) * chunk_rows
    return rows * ((layers + 1) * width * BYTES[dtype] + 1)


def spell_bytes(number: float) -> str:
    """A size with three figures, in decimal units: 27.5 GB."""
    for size, unit in UNITS:
        if number >= size * 0.9995:
            return f"{number / size:.3g} {unit}"
    return f"{number:g} B"
