# Covers and videos put into words by a vision-language model. What a killed job had finished lies beside the table.


rule caption:
    # What the captioner says of each item. Of several jobs that share a corpus (`shards` of the captioner) this one gathers what the others wrote.
    input:
        unpack(lambda w: needs.caption_needs(CONFIG, w.corpus, w.medium)),
        shards=lambda w: needs.caption_shard_files(CONFIG, w.corpus, w.medium),
    output:
        "results/{corpus}/captions/{medium}.parquet",
    log:
        "results/logs/caption/{corpus}/{medium}.log",
    benchmark:
        "results/benchmarks/caption/{corpus}/{medium}.tsv"
    conda:
        "../../envs/caption.yaml"
    threads: CONFIG.threads.extract
    resources:
        runtime=needs.minutes(CONFIG, 2880),
        mem_mb=needs.megabytes(CONFIG, 16000),
    params:
        version=STEPS["caption"],
        record=lambda w: needs.caption_record(CONFIG, w.corpus, w.medium),
    shell:
        "python -m sanrec --log {log:q} caption {wildcards.corpus:q} {wildcards.medium:q}"


rule caption_shard:
    # One of several jobs that share a corpus: every so-many-th batch.
    input:
        unpack(lambda w: needs.caption_needs(CONFIG, w.corpus, w.medium)),
    output:
        "results/{corpus}/captions/shards/{medium}/{shard}.jsonl",
    log:
        "results/logs/caption/{corpus}/{medium}.{shard}.log",
    benchmark:
        "results/benchmarks/caption/{corpus}/{medium}.{shard}.tsv"
    wildcard_constraints:
        shard=r"\d+-of-\d+",
    conda:
        "../../envs/caption.yaml"
    threads: CONFIG.threads.extract
    resources:
        runtime=needs.minutes(CONFIG, 2880),
        mem_mb=needs.megabytes(CONFIG, 16000),
    params:
        version=STEPS["caption"],
        record=lambda w: needs.caption_record(CONFIG, w.corpus, w.medium),
    shell:
        "python -m sanrec --log {log:q} caption {wildcards.corpus:q} {wildcards.medium:q} {wildcards.shard:q}"
