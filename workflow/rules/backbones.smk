# Checkpoints of backbones: a folder each, vouched for by a manifest beside it.


rule demo_backbone:
    # A small member of a real class, trained briefly on media drawn apart from the demo's items.
    output:
        "results/checkpoints/{backbone}.json",
    wildcard_constraints:
        backbone=needs.one_of(needs.demo_backbones(CONFIG)),
    params:
        version=STEPS["demo-backbone"],
        record=lambda w: needs.checkpoint_record(CONFIG, w.backbone),
    log:
        "results/logs/demo-backbone/{backbone}.log",
    benchmark:
        "results/benchmarks/demo-backbone/{backbone}.tsv"
    conda:
        "../../envs/extract.yaml"
    resources:
        runtime=30,
        mem_mb=3000,
    shell:
        "{SANREC} --log {log:q} demo-backbone {wildcards.backbone:q}"


rule checkpoint:
    # A public checkpoint at its pinned revision, or a local folder. Local: the only other job with network.
    output:
        "results/checkpoints/{backbone}.json",
    wildcard_constraints:
        backbone=needs.none_of(needs.demo_backbones(CONFIG)),
    params:
        version=STEPS["download"],
        record=lambda w: needs.checkpoint_record(CONFIG, w.backbone),
    log:
        "results/logs/checkpoint/{backbone}.log",
    conda:
        "../../envs/media.yaml"
    localrule: True
    shell:
        "{SANREC} --log {log:q} checkpoint {wildcards.backbone:q}"
