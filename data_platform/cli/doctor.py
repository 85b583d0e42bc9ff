"""``doctor``: prints what ``data_platform.doctor`` found: one line for each check and one for what to do."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, project
from data_platform.cli.output import progress, remark, say, say_json

if TYPE_CHECKING:
    from data_platform.doctor import Finding

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}
FAILED_EXIT_CODE = 1


def doctor(
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Check everything the platform depends on: catalog, variables, sources, stores, disks, warehouse, daemon.

    Each check ends with ok, warn or fail and says what to do. Nothing is changed.
    """
    folder = project(root)
    from data_platform.doctor import examine

    findings: list[Finding] = []
    with progress("checking"):
        for finding in examine(folder, environment, os.environ):
            findings.append(finding)
            if not json:
                tell(finding)
    count = Counter(finding.state for finding in findings)
    if json:
        say_json({"ok": not count["fail"], "checks": [asdict(finding) for finding in findings]})
    else:
        remark(f"{count['ok']} ok, {count['warn']} with a warning, {count['fail']} failed.")
    if count["fail"]:
        raise typer.Exit(FAILED_EXIT_CODE)


def tell(finding: Finding) -> None:
    first, *more = finding.found.splitlines() or [""]
    say(f"{finding.state:<5} {finding.check}: {first}", style=STYLES[finding.state])
    for line in more:
        say(f"      {line}")
    if finding.todo:
        say(f"      {finding.todo}", style="dim")
