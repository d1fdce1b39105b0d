# The report: one page of all that is there when the workflow starts.


rule report:
    # One page of all tables, figures and runs that are there; none is made for it. What was found is a parameter, so that
    # the page is made anew when more is there.
    output:
        "results/report.html",
    log:
        "results/logs/report.log",
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        version=STEPS["report"],
        found=lambda w: needs.report_record(CONFIG, TABLES, FIGURES),
        tables=needs.beside_snakefile(HERE, "workflow/tables"),
        figures=needs.beside_snakefile(HERE, "workflow/figures"),
    shell:
        "python -m sanrec --log {log:q} report {params.tables:q} {params.figures:q} {output:q}"
