"""Look at a finished demo's Table 3: all systems are there, and all of them learned something."""

import sys

import pandas as pd

table = pd.read_csv(sys.argv[1])
systems = table[table["kind"] == "system"].set_index("row")
assert len(systems) == 11, f"{len(systems)} systems, expected the paper's eleven"
for dataset in ("Demo", "Demo-half"):
    hit_ratio = systems[f"{dataset} HR@10"]
    assert hit_ratio.between(0.03, 0.9).all(), f"HR@10 out of bounds on {dataset}: {hit_ratio.to_dict()}"
print(systems[["Demo HR@10", "Demo NDCG@10", "Demo-half HR@10", "Demo-half NDCG@10"]].to_string())
