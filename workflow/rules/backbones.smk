# Checkpoints of backbones and captioners: a folder each, vouched for by a manifest beside it.


rule demo_backbone:
    # A small member of a real class, trained briefly on media drawn apart from the demo's items.
    output:
        "results/checkpoints/{backbone}.json",
    log:
        "results/logs/demo-backbone/{backbone}.log",
    benchmark:
        "results/benchmarks/demo-backbone/{backbone}.tsv"
    wildcard_constraints:
        backbone=needs.one_of(needs.demo_backbones(CONFIG)),
    conda:
        "../../envs/extract.yaml"
    resources:
        runtime=needs.minutes(CONFIG, 30),
        mem_mb=needs.megabytes(CONFIG, 3000),
    params:
        version=STEPS["demo-backbone"],
        record=lambda w: needs.checkpoint_record(CONFIG, w.backbone),
    shell:
        "python -m sanrec --log {log:q} demo-backbone {wildcards.backbone:q}"


rule demo_captioner:
    # A small LLaVA-NeXT, trained on media drawn apart from the demo's items to tell what they show.
    output:
        "results/checkpoints/{captioner}.json",
    log:
        "results/logs/demo-captioner/{captioner}.log",
    benchmark:
        "results/benchmarks/demo-captioner/{captioner}.tsv"
    wildcard_constraints:
        captioner=needs.one_of(needs.demo_captioners(CONFIG)),
    conda:
        "../../envs/caption.yaml"
    resources:
        runtime=needs.minutes(CONFIG, 30),
        mem_mb=needs.megabytes(CONFIG, 3000),
    params:
        version=STEPS["demo-captioner"],
        record=lambda w: needs.checkpoint_record(CONFIG, w.captioner),
    shell:
        "python -m sanrec --log {log:q} demo-captioner {wildcards.captioner:q}"


rule checkpoint:
    # A public checkpoint at its pinned revision, or a local folder. Local: the only other job with network.
    output:
        "results/checkpoints/{backbone}.json",
    log:
        "results/logs/checkpoint/{backbone}.log",
    wildcard_constraints:
        backbone=needs.none_of([*needs.demo_backbones(CONFIG), *needs.demo_captioners(CONFIG)]),
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        version=STEPS["download"],
        record=lambda w: needs.checkpoint_record(CONFIG, w.backbone),
    shell:
        "python -m sanrec --log {log:q} checkpoint {wildcards.backbone:q}"


rule count_backbones:
    # Parameters of every backbone whose architecture the config gives, from that alone: nothing is downloaded.
    output:
        "results/backbones.json",
    log:
        "results/logs/count-backbones.log",
    localrule: True
    conda:
        "../../envs/extract.yaml"
    params:
        version=STEPS["count-backbones"],
        backbones=needs.counted_backbones(CONFIG),
        record=needs.count_record(CONFIG, needs.counted_backbones(CONFIG)),
    shell:
        "python -m sanrec --log {log:q} count-backbones {output:q} {params.backbones:q}"


rule count_backbone:
    # Parameters of one that is not so known, from its checkpoint.
    input:
        "results/checkpoints/{backbone}.json",
    output:
        "results/backbones/{backbone}.json",
    log:
        "results/logs/count-backbones/{backbone}.log",
    localrule: True
    conda:
        "../../envs/extract.yaml"
    params:
        version=STEPS["count-backbones"],
        record=lambda w: needs.count_record(CONFIG, [w.backbone]),
    shell:
        "python -m sanrec --log {log:q} count-backbones {output:q} {wildcards.backbone:q}"
