"""The version of each step: raised when what the step writes changes its meaning.

Every rule passes its step's number as a parameter, so that Snakemake makes anew what an older step made. They stand
together, apart from the steps' code, because the Snakefile reads them and must not import torch.
"""

STEPS = {
    "demo-world": 1,
    "demo-backbone": 1,
    "demo-captioner": 1,
    "download": 1,
    "count-backbones": 1,
    "prepare": 1,
    "caption": 1,
    "inputs": 1,
    "extract": 1,
    "train": 3,
    "tune": 1,
    "tuned": 1,
    "information": 1,
    "efficiency": 1,
    "costs": 1,
    "table": 2,
    "figure": 1,
    "report": 1,
}
