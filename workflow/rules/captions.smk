# Covers and videos put into words by a vision-language model. What a killed job had finished lies beside the table.


rule caption:
    input:
        unpack(lambda w: needs.caption_needs(CONFIG, w.corpus, w.medium)),
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
        runtime=2880,
        mem_mb=16000,
    params:
        version=STEPS["caption"],
        record=lambda w: needs.caption_record(CONFIG, w.corpus, w.medium),
    shell:
        "python -m sanrec --log {log:q} caption {wildcards.corpus:q} {wildcards.medium:q}"
