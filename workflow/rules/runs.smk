# The floor, and training runs, one per data set, model, inputs, variant and seed. A run that several tables show is trained once.


rule train:
    # A training run: its metrics, ranks, history and weights.
    input:
        lambda w: artifacts.run_needs(CONFIG, needs.run_of(CONFIG, w)),
    output:
        metrics="results/{dataset}/runs/{model}/{inputs}/{variant}/seed={seed}/metrics.json",
        ranks="results/{dataset}/runs/{model}/{inputs}/{variant}/seed={seed}/ranks.parquet",
        top="results/{dataset}/runs/{model}/{inputs}/{variant}/seed={seed}/top.parquet",
        history="results/{dataset}/runs/{model}/{inputs}/{variant}/seed={seed}/history.csv",
        weights="results/{dataset}/runs/{model}/{inputs}/{variant}/seed={seed}/model.safetensors",
    log:
        "results/logs/train/{dataset}/{model}/{inputs}/{variant}/seed={seed}.log",
    benchmark:
        "results/benchmarks/train/{dataset}/{model}/{inputs}/{variant}/seed={seed}.tsv"
    wildcard_constraints:
        model=needs.other_than(needs.tuning_methods()),
    conda:
        "../../envs/train.yaml"
    threads: CONFIG.threads.train
    resources:
        runtime=needs.minutes(CONFIG, 1440),
        mem_mb=needs.megabytes(CONFIG, 8000),
    params:
        version=STEPS["train"],
        settings=lambda w: needs.run_settings(CONFIG, w),
    shell:
        "python -m sanrec --log {log:q} train {output.metrics:q}"


use rule train as train_backbones with:
    # The same for methods that run the backbones in every step. These are the long ones: they start first, so that no
    # core waits for the last of them at the end.
    wildcard_constraints:
        model=needs.one_of(needs.tuning_methods()),
    priority: 10


rule information:
    # The mutual information between the towers of a trained run.
    input:
        lambda w: artifacts.run_needs(CONFIG, needs.run_of(CONFIG, w)),
        metrics="results/{dataset}/runs/{model}/{inputs}/{variant}/seed={seed}/metrics.json",
        weights="results/{dataset}/runs/{model}/{inputs}/{variant}/seed={seed}/model.safetensors",
    output:
        "results/{dataset}/runs/{model}/{inputs}/{variant}/seed={seed}/information.json",
    log:
        "results/logs/information/{dataset}/{model}/{inputs}/{variant}/seed={seed}.log",
    conda:
        "../../envs/train.yaml"
    threads: CONFIG.threads.train
    resources:
        runtime=needs.minutes(CONFIG, 60),
        mem_mb=needs.megabytes(CONFIG, 8000),
    params:
        version=STEPS["information"],
    shell:
        "python -m sanrec --log {log:q} information {output:q}"


rule popularity:
    # What popularity alone reaches under the same protocol.
    input:
        "results/{dataset}/interactions.parquet",
    output:
        "results/{dataset}/popularity.json",
        "results/{dataset}/popularity/ranks.parquet",
        "results/{dataset}/popularity/top.parquet",
    log:
        "results/logs/popularity/{dataset}.log",
    conda:
        "../../envs/train.yaml"
    resources:
        runtime=needs.minutes(CONFIG, 30),
        mem_mb=needs.megabytes(CONFIG, 4000),
    params:
        version=STEPS["train"],
    shell:
        "python -m sanrec --log {log:q} popularity {wildcards.dataset:q}"


rule efficiency:
    # Time, memory and parameters of every row of Table 4 on this machine, in one call. It asks for all cores, so that
    # nothing runs beside it: other jobs would be in its times.
    input:
        lambda w: needs.efficiency_needs(CONFIG, w.dataset, w.machine, TABLES.values(), needs.elsewhere(workflow)),
    output:
        "results/{dataset}/efficiency/{machine}.json",
    log:
        "results/logs/efficiency/{dataset}/{machine}.log",
    conda:
        "../../envs/train.yaml"
    threads: needs.all_cores(CONFIG)
    resources:
        runtime=needs.minutes(CONFIG, 1440),
        mem_mb=needs.megabytes(CONFIG, 8000),
    params:
        version=STEPS["efficiency"],
        rows=lambda w: needs.efficiency_record(CONFIG, w.dataset, TABLES.values()),
        specs=needs.efficiency_specs(HERE, TABLES),
    shell:
        "python -m sanrec --log {log:q} efficiency {output:q} {params.specs:q}"


rule costs:
    # Time and memory at the points of a figure on this machine, in one call; what is finished survives a killed job. It
    # asks for all cores, as above.
    input:
        lambda w: needs.costs_needs(
            CONFIG, w.dataset, w.machine, w.measurement, FIGURES.values(), needs.elsewhere(workflow)
        ),
    output:
        "results/{dataset}/efficiency/{machine}/{measurement}.json",
    log:
        "results/logs/costs/{dataset}/{machine}/{measurement}.log",
    wildcard_constraints:
        measurement=needs.one_of(needs.measurements(FIGURES.values())),
    conda:
        "../../envs/train.yaml"
    threads: needs.all_cores(CONFIG)
    resources:
        runtime=needs.minutes(CONFIG, 1440),
        mem_mb=needs.megabytes(CONFIG, 8000),
    params:
        version=STEPS["costs"],
        points=lambda w: needs.costs_record(CONFIG, w.dataset, w.measurement, FIGURES.values()),
        specs=lambda w: needs.costs_specs(HERE, FIGURES, w.measurement),
    shell:
        "python -m sanrec --log {log:q} costs {output:q} {params.specs:q}"
