# Zarr stores over a corpus. The declared output is the manifest beside the store, written last: Snakemake would delete a
# declared folder on failure, and with it what a killed job had finished.


rule hidden:
    input:
        unpack(lambda w: needs.store_needs(CONFIG, w.corpus, w.channel, w.backbone)),
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
        runtime=720,
        mem_mb=8000,
    params:
        version=STEPS["extract"],
        record=lambda w: needs.backbone_record(CONFIG, w.backbone),
    shell:
        "python -m sanrec --log {log:q} extract {wildcards.corpus:q} {wildcards.channel:q} {wildcards.backbone:q}"


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
        runtime=240,
        mem_mb=4000,
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
        "results/{corpus}/media-report.csv",
    log:
        "results/logs/media-report/{corpus}.log",
    localrule: True
    conda:
        "../../envs/data.yaml"
    shell:
        "python -m sanrec --log {log:q} media-report {wildcards.corpus:q}"
