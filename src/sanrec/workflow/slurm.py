"""What snakemake-executor-plugin-slurm 2.8.0 lacks: patience with a Slurm that does not answer.

Where none of its questions for the status of jobs is answered, as while a controller is restarted, the plugin drops the
jobs that it asked for: they end, nobody hears of it, and the workflow waits for ever. A question without an answer says
nothing of any job; that is what the plugin gets here, and it asks again.
"""

import logging
import sys
import time
from collections.abc import Awaitable, Callable

PLUGIN = "snakemake_executor_plugin_slurm"

Statuses = dict[str, str]
"""Of jobs, by Slurm's number for them; a job that is not in it is asked for again."""
Query = Callable[[str, logging.Logger], Awaitable[tuple[Statuses | None, float | None]]]
"""A command and the plugin's log, to statuses and the seconds it took, or to twice None where the command failed."""


def wait_for_slurm() -> None:
    """Make the plugin patient, where Snakemake has loaded it; again changes nothing."""
    plugin = sys.modules.get(PLUGIN)
    query = getattr(plugin, "query_job_status", None)
    if query is not None and not hasattr(query, "patient"):
        plugin.query_job_status = patiently(query)


def patiently(query: Query) -> Query:
    """The same query, which knows of no job where the command fails."""

    async def asked(command: str, logger: logging.Logger) -> tuple[Statuses, float]:
        started = time.monotonic()
        statuses, seconds = await query(command, logger)
        if statuses is not None and seconds is not None:
            return statuses, seconds
        logger.warning(f"Slurm did not answer '{command.split()[0]}': its jobs go on, and it is asked again.")
        return {}, time.monotonic() - started

    asked.patient = True
    return asked
