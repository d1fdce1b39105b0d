# Figures: drawn from runs, cheap, and drawn anew whenever the study changes.


rule figure:
    input:
        needs=lambda w: needs.figure_needs(CONFIG, FIGURES[w.figure]),
        spec=lambda w: needs.beside_snakefile(workflow.basedir, f"workflow/figures/{w.figure}.yaml"),
    output:
        svg="results/{figure}.svg",
        png="results/{figure}.png",
        csv="results/{figure}.csv",
    log:
        "results/logs/figure/{figure}.log",
    wildcard_constraints:
        figure=needs.one_of(FIGURES),
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        version=STEPS["figure"],
        study=needs.figure_study(CONFIG),
    shell:
        "python -m sanrec --log {log:q} figure {input.spec:q} {output.svg:q}"
