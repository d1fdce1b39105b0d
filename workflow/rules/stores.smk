# Zarr stores over a corpus. The declared output is the manifest beside the store, written last: Snakemake would delete a
# declared folder on failure, and with it what a killed job had finished.


rule hidden:
    # Hidden states of a channel through a frozen backbone; where several jobs share them (`shards` of the backbone), this one
    # checks that every item is there exactly once.
    input:
        unpack(lambda w: needs.store_needs(CONFIG, w.corpus, w.channel, w.backbone)),
        shards=lambda w: needs.shard_files(CONFIG, w.corpus, w.channel, w.backbone),
    output:
        "results/{corpus}/hidden/{channel}/{backbone}.json",
    log:
        "results/logs/hidden/{corpus}/{channel}/{backbone}.log",
    benchmark:
        "results/benchmarks/hidden/{corpus}/{channel}/{backbone}.tsv"
    conda:
        "../../envs/extract.yaml"
    threads: CONFIG.threads.extract
    resources:
        runtime=needs.minutes(CONFIG, 720),
        mem_mb=needs.megabytes(CONFIG, 8000),
    params:
        version=STEPS["extract"],
        record=lambda w: needs.backbone_record(CONFIG, w.backbone),
    shell:
        "python -m sanrec --log {log:q} extract {wildcards.corpus:q} {wildcards.channel:q} {wildcards.backbone:q}"


rule hidden_begin:
    # The empty store that several jobs are to fill.
    input:
        unpack(lambda w: needs.store_needs(CONFIG, w.corpus, w.channel, w.backbone)),
    output:
        "results/{corpus}/hidden/{channel}/shards/{backbone}/begun.json",
    log:
        "results/logs/hidden/{corpus}/{channel}/{backbone}.begin.log",
    conda:
        "../../envs/extract.yaml"
    resources:
        runtime=needs.minutes(CONFIG, 60),
        mem_mb=needs.megabytes(CONFIG, 4000),
    params:
        version=STEPS["extract"],
        record=lambda w: needs.backbone_record(CONFIG, w.backbone),
    shell:
        "python -m sanrec --log {log:q} extract {wildcards.corpus:q} {wildcards.channel:q} {wildcards.backbone:q} begin"


rule hidden_shard:
    # One of several jobs: every so-many-th unit of the store. No two jobs write one chunk.
    input:
        unpack(lambda w: needs.store_needs(CONFIG, w.corpus, w.channel, w.backbone)),
        begun="results/{corpus}/hidden/{channel}/shards/{backbone}/begun.json",
    output:
        "results/{corpus}/hidden/{channel}/shards/{backbone}/{shard}.json",
    log:
        "results/logs/hidden/{corpus}/{channel}/{backbone}.{shard}.log",
    benchmark:
        "results/benchmarks/hidden/{corpus}/{channel}/{backbone}.{shard}.tsv"
    wildcard_constraints:
        shard=r"\d+-of-\d+",
    conda:
        "../../envs/extract.yaml"
    threads: CONFIG.threads.extract
    resources:
        runtime=needs.minutes(CONFIG, 720),
        mem_mb=needs.megabytes(CONFIG, 8000),
    params:
        version=STEPS["extract"],
        record=lambda w: needs.backbone_record(CONFIG, w.backbone),
    shell:
        "python -m sanrec --log {log:q} extract"
        " {wildcards.corpus:q} {wildcards.channel:q} {wildcards.backbone:q} {wildcards.shard:q}"


rule inputs:
    # Model-ready integers for the methods that run the backbones in each training step.
    input:
        unpack(lambda w: needs.store_needs(CONFIG, w.corpus, w.channel, w.backbone)),
    output:
        "results/{corpus}/inputs/{channel}/{backbone}.json",
    log:
        "results/logs/inputs/{corpus}/{channel}/{backbone}.log",
    benchmark:
        "results/benchmarks/inputs/{corpus}/{channel}/{backbone}.tsv"
    conda:
        "../../envs/extract.yaml"
    threads: CONFIG.threads.extract
    resources:
        runtime=needs.minutes(CONFIG, 240),
        mem_mb=needs.megabytes(CONFIG, 4000),
    params:
        version=STEPS["inputs"],
        record=lambda w: needs.backbone_record(CONFIG, w.backbone),
    shell:
        "python -m sanrec --log {log:q} inputs {wildcards.corpus:q} {wildcards.channel:q} {wildcards.backbone:q}"


rule media_report:
    # Every item whose medium is missing or broken, with the reason.
    input:
        lambda w: needs.media_needs(CONFIG, w.corpus),
    output:
        report(
            "results/{corpus}/media-report.csv",
            caption="../report/media.rst",
            category="Missing media",
            labels={"corpus": "{corpus}"},
        ),
    log:
        "results/logs/media-report/{corpus}.log",
    localrule: True
    conda:
        "../../envs/data.yaml"
    shell:
        "python -m sanrec --log {log:q} media-report {wildcards.corpus:q}"
