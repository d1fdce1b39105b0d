# From raw media and interaction files to the tables of corpora and data sets.


rule demo_world:
    # The demo's world, in the folder layout of MicroLens; the manifest is written last.
    output:
        "results/{corpus}/raw.json",
    log:
        "results/logs/demo-world/{corpus}.log",
    benchmark:
        "results/benchmarks/demo-world/{corpus}.tsv"
    wildcard_constraints:
        corpus=needs.one_of(needs.demo_corpora(CONFIG)),
    conda:
        "../../envs/extract.yaml"
    resources:
        runtime=needs.minutes(CONFIG, 30),
        mem_mb=needs.megabytes(CONFIG, 2000),
    params:
        version=STEPS["demo-world"],
        record=lambda w: needs.raw_record(CONFIG, w.corpus),
    shell:
        "python -m sanrec --log {log:q} demo-world {wildcards.corpus:q}"


rule download:
    # Raw files of every other corpus: found in its folder, or fetched into it. Local: it may need the network.
    output:
        "results/{corpus}/raw.json",
    log:
        "results/logs/download/{corpus}.log",
    wildcard_constraints:
        corpus=needs.none_of(needs.demo_corpora(CONFIG)),
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        version=STEPS["download"],
        record=lambda w: needs.raw_record(CONFIG, w.corpus),
    shell:
        "python -m sanrec --log {log:q} download {wildcards.corpus:q}"


rule prepare_corpus:
    # The items of a corpus with their titles, and which files of media they have.
    input:
        unpack(lambda w: needs.corpus_needs(CONFIG, w.corpus)),
    output:
        "results/{corpus}/items.parquet",
    log:
        "results/logs/prepare/{corpus}.items.log",
    benchmark:
        "results/benchmarks/prepare/{corpus}.items.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        runtime=needs.minutes(CONFIG, 30),
        mem_mb=needs.megabytes(CONFIG, 4000),
    params:
        version=STEPS["prepare"],
        record=lambda w: needs.layout_record(CONFIG, w.corpus),
        media=lambda w: needs.media_listing(CONFIG, w.corpus),
    shell:
        "python -m sanrec --log {log:q} prepare-corpus {wildcards.corpus:q}"


rule prepare_dataset:
    # Interactions over a corpus, cut and split, and their counts.
    input:
        unpack(lambda w: needs.dataset_needs(CONFIG, w.dataset)),
    output:
        interactions="results/{dataset}/interactions.parquet",
        statistics="results/{dataset}/statistics.json",
    log:
        "results/logs/prepare/{dataset}.interactions.log",
    benchmark:
        "results/benchmarks/prepare/{dataset}.interactions.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        runtime=needs.minutes(CONFIG, 30),
        mem_mb=needs.megabytes(CONFIG, 4000),
    params:
        version=STEPS["prepare"],
        record=lambda w: needs.dataset_record(CONFIG, w.dataset),
    shell:
        "python -m sanrec --log {log:q} prepare-dataset {wildcards.dataset:q}"
