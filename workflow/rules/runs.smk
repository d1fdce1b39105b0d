# The floor, and training runs, one per data set, model, inputs, variant and seed. A run that several tables show is trained once.


rule train:
    input:
        lambda w: artifacts.run_needs(CONFIG, needs.run_of(CONFIG, w)),
    output:
        metrics="results/{dataset}/runs/{model}/{inputs}/{variant}/seed={seed}/metrics.json",
        ranks="results/{dataset}/runs/{model}/{inputs}/{variant}/seed={seed}/ranks.parquet",
        history="results/{dataset}/runs/{model}/{inputs}/{variant}/seed={seed}/history.csv",
        weights="results/{dataset}/runs/{model}/{inputs}/{variant}/seed={seed}/model.safetensors",
    log:
        "results/logs/train/{dataset}/{model}/{inputs}/{variant}/seed={seed}.log",
    benchmark:
        "results/benchmarks/train/{dataset}/{model}/{inputs}/{variant}/seed={seed}.tsv"
    conda:
        "../../envs/train.yaml"
    threads: CONFIG.threads.train
    resources:
        runtime=1440,
        mem_mb=8000,
    params:
        version=STEPS["train"],
        settings=lambda w: needs.run_settings(CONFIG, w),
    shell:
        "python -m sanrec --log {log:q} train {output.metrics:q}"


rule popularity:
    # What popularity alone reaches under the same protocol.
    input:
        "results/{dataset}/interactions.parquet",
    output:
        "results/{dataset}/popularity.json",
    log:
        "results/logs/popularity/{dataset}.log",
    conda:
        "../../envs/train.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    params:
        version=STEPS["train"],
    shell:
        "python -m sanrec --log {log:q} popularity {wildcards.dataset:q}"
