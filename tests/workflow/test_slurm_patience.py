"""A Slurm that does not answer, with the plugin's own code; tests/slurm has a real one."""

import asyncio
import logging
from types import SimpleNamespace

import pytest

plugin = pytest.importorskip("snakemake_executor_plugin_slurm")

from sanrec.workflow.slurm import patiently, wait_for_slurm  # noqa: E402


class Executor(plugin.Executor):
    """As much of the plugin's executor as asks for jobs' status."""

    def __init__(self):
        told = SimpleNamespace(
            status_attempts=2, init_seconds_before_status_checks=1, status_command="squeue", keep_successful_logs=True
        )
        self.workflow = SimpleNamespace(executor_settings=told)
        self.logger, self.run_uuid, self.done = logging.getLogger("plugin"), "run", []
        self._status_query_calls = self._status_query_failures = 0
        self._status_query_total_seconds = self._status_query_max_seconds = 0.0
        self._status_query_min_seconds = None
        self._status_query_cycle_rows, self._preemption_warning = [], False
        self.next_seconds_between_status_checks = 1
        self.status_rate_limiter = asyncio.Lock()

    def report_job_success(self, job):
        self.done.append(job)


def ask(monkeypatch, answers, patient):
    """The jobs that the executor still follows after one cycle, and those it calls finished."""
    waiting = iter(answers)

    async def query(command, logger):
        return next(waiting)

    monkeypatch.setattr(plugin, "query_job_status", patiently(query) if patient else query)
    monkeypatch.setattr(plugin, "get_min_job_age", lambda: 300)

    async def cycle():
        executor = Executor()
        jobs = [SimpleNamespace(external_jobid=number, aux={}) for number in ("1", "2")]
        followed = [job.external_jobid async for job in executor.check_active_jobs(jobs)]
        return followed, [job.external_jobid for job in executor.done]

    return asyncio.run(cycle())


SILENCE = (None, None)


def test_jobs_of_a_query_without_answer_are_followed_on(monkeypatch, caplog):
    assert ask(monkeypatch, [SILENCE] * 2, patient=True) == (["1", "2"], [])
    assert "did not answer 'squeue'" in caplog.text


def test_an_answer_is_taken_as_it_is(monkeypatch, caplog):
    answer = ({"1": "COMPLETED", "2": "RUNNING"}, 0.01)
    assert ask(monkeypatch, [answer], patient=True) == ask(monkeypatch, [answer], patient=False) == (["2"], ["1"])
    assert "did not answer" not in caplog.text


def test_the_plugin_alone_forgets_the_jobs_which_is_why(monkeypatch):
    """Where this fails, the plugin has mended it, and sanrec.workflow.slurm can go."""
    assert ask(monkeypatch, [SILENCE] * 2, patient=False) == ([], [])


def test_the_plugin_is_changed_once(monkeypatch):
    monkeypatch.setattr(plugin, "query_job_status", plugin.query_job_status)
    wait_for_slurm()
    changed = plugin.query_job_status
    wait_for_slurm()
    assert plugin.query_job_status is changed
    assert changed.patient
