# The search for a method's settings, on validation alone, and the table of all that was searched for on a data set.


rule tune:
    # The settings that a search found, and every trial. The trials lie in a sqlite file beside the outputs and are no output: a killed search goes on from there.
    input:
        lambda w: needs.tuning_needs(CONFIG, w),
    output:
        best="results/{dataset}/tuning/{model}/{of}.yaml",
        trials="results/{dataset}/tuning/{model}/{of}.csv",
    log:
        "results/logs/tune/{dataset}/{model}/{of}.log",
    benchmark:
        "results/benchmarks/tune/{dataset}/{model}/{of}.tsv"
    wildcard_constraints:
        model=needs.other_than(needs.tuning_methods()),
        of=r"[^/]+(/[^/]+)?",  # INPUTS, or INPUTS/VARIANT with the settings that are given
    conda:
        "../../envs/train.yaml"
    threads: CONFIG.threads.train
    resources:
        runtime=needs.minutes(CONFIG, 2880),
        mem_mb=needs.megabytes(CONFIG, 8000),
    params:
        version=STEPS["tune"],
        search=lambda w: needs.tuning_record(CONFIG, w),
    shell:
        "python -m sanrec --log {log:q} tune {output.best:q}"


use rule tune as tune_backbones with:
    # The same for methods that run the backbones in every step: a trial is as long as a run of theirs. They start first.
    wildcard_constraints:
        model=needs.one_of(needs.tuning_methods()),
    priority: 10
    resources:
        runtime=needs.minutes(CONFIG, 1440 * CONFIG.trials),
        mem_mb=needs.megabytes(CONFIG, 8000),


rule tuned:
    # Whatever has been tuned on the data set when the workflow starts.
    input:
        lambda w: needs.tuned_needs(CONFIG, w.dataset),
    output:
        report(
            "results/{dataset}/tuning.csv",
            caption="../report/tuning.rst",
            category="Tuning",
            labels={"data set": "{dataset}"},
        ),
    log:
        "results/logs/tuned/{dataset}.log",
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        version=STEPS["tuned"],
    shell:
        "python -m sanrec --log {log:q} tuned {wildcards.dataset:q}"
