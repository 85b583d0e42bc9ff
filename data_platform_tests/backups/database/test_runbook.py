"""The runbook, followed to the letter: every command of docs/disaster-recovery.md, on a company whose machine is gone.

All that is left is the copy ``offsite`` in a bucket (SeaweedFS), the catalog and the secrets.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from data_platform.backups.manifest import made_at
from data_platform.cli.app import run
from data_platform.sync import sync_changes
from data_platform.sync.backup import archive, make_backup
from data_platform.sync.database_backup import back_up_database
from data_platform.sync.wal import receiver
from data_platform_tests.backups.database.conftest import Company
from data_platform_tests.servers.objects import ENVIRON, ObjectServer, new_prefix

pytestmark = pytest.mark.slow
PAGE = Path(__file__).parents[3] / "docs/disaster-recovery.md"
NOBODY = "postgresql://postgres:secret@127.0.0.1:1/shop"
"""The URL of a server that is gone."""
INSTANT, FOLDER = "2026-11-22T10:15:00Z", "/var/lib/recovered"


@dataclass(frozen=True)
class Step:
    """Commands of the page, and what it says that one will see."""

    title: str
    commands: tuple[str, ...]
    seen: tuple[str, ...]


def steps() -> Iterator[Step]:
    """What the page says, in its order. The words in code after "You will see" are what the commands print."""
    for section in PAGE.read_text().split("\n## ")[1:]:
        title = section.splitlines()[0]
        for block, after in re.findall(r"```sh\n(.*?)```\n\n(.*?)(?:\n\n|$)", section, re.DOTALL):
            assert after.startswith("You will see"), f"{title}: the page does not say what its commands print"
            yield Step(
                title, tuple(block.splitlines()), tuple(re.findall(r"`([^`]+)`", after.split(". ")[0]))
            )


@dataclass
class Ruin:
    """What is left of a company: ``root`` with its catalog and its copy; ``at`` is a second at which it was well."""

    company: Company
    folder: Path
    at: datetime
    copies: str

    def literal(self, command: str) -> list[str]:
        """The command's arguments; the instant and the folder are this company's."""
        words = shlex.split(command.replace(INSTANT, self.at.isoformat()).replace(FOLDER, str(self.folder)))
        assert words[0] == "data-platform"
        return [*words[1:], "--root", str(self.company.root)]


@pytest.fixture
def ruin(
    company: Company, server_folder: Path, s3_server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> Ruin:
    copies = json.dumps({"offsite": s3_server.config(new_prefix(), cache=str(company.root / "cache"))})
    platform = company.platform("{engine: native}", copies)
    platform.environ.update(ENVIRON)  # type: ignore[attr-defined]
    for name in ("SHOP_URL", "KEEPER_URL", *ENVIRON):
        monkeypatch.setenv(name, platform.environ[name])
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.chdir(company.root)
    receiver(platform, "shop", lambda _: None).once()
    back_up_database(platform, "shop")
    assert all(report.error is None for report in sync_changes(platform, "shop"))
    make_backup(platform)
    company.execute("insert into orders values (20001, 'after the last sync')")
    at = company.row("select clock_timestamp()")[0]
    receiver(platform, "shop", lambda _: None).once()
    for lost in ("landing", "backups", "cache", ".dagster"):
        shutil.rmtree(company.root / lost, ignore_errors=True)
    (company.root / "warehouse.duckdb").unlink()
    company.execute("drop table orders", "drop schema _data_platform cascade")
    monkeypatch.setenv("SHOP_URL", NOBODY)
    folder = server_folder / f"runbook-{company.database}"
    folder.mkdir(mode=0o711)
    return Ruin(company, folder, at, copies)


def test_every_command_of_the_runbook_does_what_the_page_says(
    ruin: Ruin, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = list(steps())
    assert len(taken) >= 7
    for step in taken:
        if step.title == "A backup store":  # what was recovered is in its place
            shutil.copyfile(
                ruin.company.root / ".data/restored.duckdb", ruin.company.root / "warehouse.duckdb"
            )
            ruin.company.execute("create table orders (id bigint primary key, note text)")
            monkeypatch.setenv("SHOP_URL", ruin.company.server.url(ruin.company.database))
        printed = ""
        for command in step.commands:
            code = run(ruin.literal(command))
            said = capsys.readouterr()
            assert code == (8 if "--checklist" in command else 0), (command, said.err)
            printed += said.out + said.err
        flat = " ".join(printed.split())
        for words in step.seen:
            assert words in flat, (step.title, words, flat)
    first = archive(ruin.company.platform("{engine: native}", ruin.copies))
    assert made_at(first.ids()[-1]) > ruin.at  # the store that was lost has backups again
