# Tables: gathered from runs and counts, cheap, and made anew whenever the study changes.


rule table:
    # A table beside the paper's figures, if it is a paper's.
    input:
        needs=lambda w: needs.table_needs(CONFIG, TABLES[w.table]),
        spec=lambda w: OWN_TABLES.get(w.table) or needs.beside_snakefile(HERE, f"workflow/tables/{w.table}.yaml"),
        reference=lambda w: needs.table_reference(HERE, TABLES[w.table]),
    output:
        csv="results/{table}.csv",
        md="results/{table}.md",
        html=report(
            "results/{table}.html", caption="../report/table.rst", category="Tables", labels={"table": "{table}"}
        ),
    log:
        "results/logs/table/{table}.log",
    wildcard_constraints:
        table=needs.one_of(TABLES),
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        version=STEPS["table"],
        study=needs.table_study(CONFIG),
        record=lambda w: needs.table_record(CONFIG, TABLES[w.table]),
    shell:
        "python -m sanrec --log {log:q} table {input.spec:q} {input.reference:q} {output.csv:q}"
