"""Every job behind some targets, as Snakemake itself sees them: run as a process of its own, it prints JSON.

`python -m sanrec.workflow.listing`, with a JSON object on standard input: `snakefile`, `targets`, `configfile` or null,
`config`, values that go before those of files. A process of its own, because Snakemake changes its process' search
path, environment and logging.

Snakemake's `--summary` says of each output file whether it would be made, but not which files one job makes, nor which
log is its. Both stand in the jobs of the DAG that this same call of its API builds.
"""

import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

from snakemake.api import SnakemakeApi
from snakemake.settings.enums import Quietness
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, ResourceSettings

FEWEST_CORES = 1  # nothing is run
RESOURCES = ("runtime", "mem_mb")


def listing(api: SnakemakeApi, asked: dict[str, Any]) -> dict[str, Any]:
    """The answer to one question: `jobs`, `config` (the file that jobs read), `locked_since` (seconds, or null)."""
    settings = ConfigSettings(
        config=asked["config"],
        configfiles=[Path(asked["configfile"])] if asked["configfile"] else [],
    )
    resources = ResourceSettings(cores=FEWEST_CORES)
    workflow = api.workflow(resources, settings, snakefile=Path(asked["snakefile"]))
    dag = workflow.dag(DAGSettings(targets=set(asked["targets"])))
    with contextlib.redirect_stdout(io.StringIO()):
        dag.summary()  # of the public calls the one that builds the DAG, warns of locks only, and runs nothing
    built = workflow._workflow  # the one private name; tests would see it go
    jobs = [_described(built.dag, job) for job in built.dag.jobs if job.output]
    locks = Path(built.persistence.path, "locks")
    locked = locks.stat().st_mtime if built.persistence.locked else None
    return {"jobs": jobs, "config": os.environ.get("SANREC_CONFIG"), "locked_since": locked}


def _described(dag: Any, job: Any) -> dict[str, Any]:
    needed = dag.needrun(job)
    return {
        "rule": job.rule.name,
        "outputs": [str(path) for path in job.output],
        "inputs": [str(path) for path in job.input],
        "logs": [str(path) for path in job.log],
        "benchmark": str(job.benchmark) if job.benchmark else None,
        "wildcards": dict(job.wildcards_dict),
        "needed": needed,
        "reason": str(dag.reason(job)) if needed else "",
        "threads": job.threads,
        **{name: job.resources.get(name) for name in RESOURCES},
    }


def main() -> int:
    """Answer the question on standard input; complaints, as Snakemake words them, go to standard error."""
    asked = json.load(sys.stdin)
    quiet = OutputSettings(dryrun=True, quiet={Quietness.ALL}, enable_file_logging=False, stdout=False)
    with SnakemakeApi(quiet) as api:
        try:
            print(json.dumps(listing(api, asked), default=str))
        except Exception as error:
            api.print_exception(error)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
