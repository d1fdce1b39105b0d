"""Gives Snakemake's bare `--cores` the meaning that its help documents: all available cores.

Snakemake 7 took the flag without a number; 8 and 9 refuse it ("expected one argument"), though their help still says
"If N is omitted or `all`, the limit is set to the number of available CPU cores". Snakemake imports every installed
package named `snakemake_*_plugin_*` while it builds its argument parser, before it reads the command line: the only
place where a project can mend this without a wrapper around `snakemake`.

It steps aside by itself: if `--cores` already takes an optional number, nothing is changed. Being imported as a report
plugin, it must also be one: it is Snakemake's own HTML reporter under a second name.
"""

from argparse import ArgumentParser
from functools import wraps

from snakemake.report.html_reporter import Reporter, ReportSettings
from snakemake_interface_report_plugins.registry import ReportPluginRegistry

__all__ = ["ReportSettings", "Reporter", "mend_cores"]


def mend_cores(parser: ArgumentParser) -> bool:
    """Make the number after `--cores` optional: all cores where it is left out. False if it already is, or is gone."""
    from snakemake.utils import available_cpu_count

    for action in parser._actions:
        if "--cores" in action.option_strings and action.nargs is None:
            action.nargs, action.const = "?", available_cpu_count()
            return True
    return False


def _mend_on_registration() -> None:
    """Reach the parser: each plugin registry is handed it, ours included, to add options to."""
    register = ReportPluginRegistry.register_cli_args

    @wraps(register)
    def register_and_mend(self: ReportPluginRegistry, argparser: ArgumentParser) -> None:
        register(self, argparser)
        mend_cores(argparser)

    ReportPluginRegistry.register_cli_args = register_and_mend


_mend_on_registration()
