# Figures: drawn from runs, cheap, and drawn anew whenever the study changes.


rule figure:
    # A figure with the numbers that it is drawn from.
    input:
        needs=lambda w: needs.figure_needs(CONFIG, FIGURES[w.figure]),
        spec=lambda w: needs.beside_snakefile(HERE, f"workflow/figures/{w.figure}.yaml"),
        files=lambda w: needs.figure_files(HERE, FIGURES[w.figure]),
    output:
        svg=report(
            "results/{figure}.svg", caption="../report/figure.rst", category="Figures", labels={"figure": "{figure}"}
        ),
        png="results/{figure}.png",
        csv="results/{figure}.csv",
    log:
        "results/logs/figure/{figure}.log",
    wildcard_constraints:
        figure=needs.one_of(needs.drawn(FIGURES)),
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        version=STEPS["figure"],
        study=needs.figure_study(CONFIG),
        record=lambda w: needs.figure_record(CONFIG, FIGURES[w.figure]),
    shell:
        "python -m sanrec --log {log:q} figure {input.spec:q} {output.svg:q}"


use rule figure as figure_with_table with:
    # The same for figures whose numbers are worth a table too.
    output:
        svg=report(
            "results/{figure}.svg", caption="../report/figure.rst", category="Figures", labels={"figure": "{figure}"}
        ),
        png="results/{figure}.png",
        csv="results/{figure}.csv",
        md="results/{figure}.md",
        html=report(
            "results/{figure}.html",
            caption="../report/figure-table.rst",
            category="Figures",
            labels={"figure": "{figure}, as a table"},
        ),
    wildcard_constraints:
        figure=needs.one_of(needs.tabled(FIGURES)),
