"""Recommend by what `sanrec export RUN FOLDER` wrote: python serve.py FOLDER ITEM,ITEM,… [K]; needs torch and faiss."""

import json
import sys
from pathlib import Path

import faiss
import numpy as np
import torch

folder, taken, k = Path(sys.argv[1]), sys.argv[2].split(","), int((sys.argv[3:] or [10])[0])
manifest, ids = (json.loads((folder / name).read_text(encoding="utf-8")) for name in ("manifest.json", "ids.json"))
vectors, index = np.load(folder / "items.npy"), faiss.read_index(str(folder / "items.faiss"))
encoder = torch.export.load(folder / "encoder.pt2").module()  # it unpickles: load none but your own export
rows = [ids.index(item) for item in taken]
history, present = torch.zeros(1, manifest["positions"], manifest["width"]), torch.zeros(1, manifest["positions"]) > 0
for place, row in enumerate(reversed(rows[-manifest["positions"] :]), 1):  # oldest first, padded on the left
    history[0, -place], present[0, -place] = torch.from_numpy(vectors[row]), True
with torch.inference_mode():
    state = encoder(history, present).numpy()
scores, found = index.search(state, min(k + len(rows), len(ids)))  # enough to leave out what was taken
best = [(ids[row], score) for row, score in zip(found[0], scores[0], strict=True) if row not in rows][:k]
print("\n".join(f"{place}\t{item}\t{score:.4f}" for place, (item, score) in enumerate(best, 1)))
