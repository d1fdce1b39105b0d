# From raw media and interaction files to the tables of corpora and data sets.


rule demo_world:
    # The demo's world, in the folder layout of MicroLens; the manifest is written last.
    output:
        "results/{corpus}/raw.json",
    wildcard_constraints:
        corpus=needs.one_of(needs.demo_corpora(CONFIG)),
    params:
        version=STEPS["demo-world"],
        record=lambda w: needs.record(CONFIG, "corpus", w.corpus),
    log:
        "results/logs/demo-world/{corpus}.log",
    benchmark:
        "results/benchmarks/demo-world/{corpus}.tsv"
    conda:
        "../../envs/media.yaml"
    resources:
        runtime=30,
        mem_mb=2000,
    shell:
        "{SANREC} --log {log:q} demo-world {wildcards.corpus:q}"


rule download:
    # Raw files of every other corpus: found in its folder, or fetched into it. Local: it may need the network.
    output:
        "results/{corpus}/raw.json",
    wildcard_constraints:
        corpus=needs.none_of(needs.demo_corpora(CONFIG)),
    params:
        version=STEPS["download"],
        record=lambda w: needs.record(CONFIG, "corpus", w.corpus),
    log:
        "results/logs/download/{corpus}.log",
    conda:
        "../../envs/media.yaml"
    localrule: True
    shell:
        "{SANREC} --log {log:q} download {wildcards.corpus:q}"


rule prepare_corpus:
    input:
        "results/{corpus}/raw.json",
    output:
        "results/{corpus}/items.parquet",
    params:
        version=STEPS["prepare"],
        record=lambda w: needs.record(CONFIG, "corpus", w.corpus),
    log:
        "results/logs/prepare/{corpus}.items.log",
    benchmark:
        "results/benchmarks/prepare/{corpus}.items.tsv"
    conda:
        "../../envs/media.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    shell:
        "{SANREC} --log {log:q} prepare-corpus {wildcards.corpus:q}"


rule prepare_dataset:
    input:
        unpack(lambda w: needs.dataset_needs(CONFIG, w.dataset)),
    output:
        interactions="results/{dataset}/interactions.parquet",
        statistics="results/{dataset}/statistics.json",
    params:
        version=STEPS["prepare"],
        record=lambda w: needs.dataset_record(CONFIG, w.dataset),
    log:
        "results/logs/prepare/{dataset}.interactions.log",
    benchmark:
        "results/benchmarks/prepare/{dataset}.interactions.tsv"
    conda:
        "../../envs/media.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    shell:
        "{SANREC} --log {log:q} prepare-dataset {wildcards.dataset:q}"
