"""A plugin of pytest's: what fails is told when it fails, for runs that take hours."""

from __future__ import annotations

import pytest


class Telling:
    """Prints failures as they come; in the end pytest repeats them all."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and terminal:
            terminal.write_line(f"\n{report.nodeid} failed in its {report.when}")
            terminal.write_line(report.longreprtext)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the controller of parallel runs hears of everything
        config.pluginmanager.register(Telling(config))
