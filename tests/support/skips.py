"""As root in CI everything can run, so a skipped test there is one that nobody would notice: it fails the run."""

import os

import pytest


class SkipsAreFailures:
    """Remembers what was skipped and turns a good exit status into a bad one."""

    def __init__(self) -> None:
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember what was skipped, apart from the tests of cases that lie outside the repository."""
        if report.skipped and not hasattr(report, "wasxfail") and "shared" not in report.keywords:
            self.skipped.append(report.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run when anything was skipped."""
        if self.skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name them."""
        for nodeid in self.skipped:
            terminalreporter.write_line(f"skipped, which as root in CI counts as failed: {nodeid}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    """Put the rule in force where it holds."""
    if os.environ.get("CI") == "true" and os.geteuid() == 0 and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkipsAreFailures(), "skips-are-failures")
