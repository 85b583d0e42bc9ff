"""Brings a batch's Parquet files into a temporary table: from the landing bucket by an external stage, or from here by PUT.

The files that are sent lie on the temporary table's own stage, so that they go with it, as it goes with its session. Each
attempt has a table of its own: what an earlier one left on a stage is never loaded, and what Snowflake remembers of files that
it has loaded is about another table.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from data_platform.errors import WarehouseError
from data_platform.warehouses.remote.engine import Staging
from data_platform.warehouses.snowflake import names
from data_platform.warehouses.snowflake.grammar import GRAMMAR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from data_platform.warehouses.snowflake.session import SnowflakeSession

FILES_OF_A_COPY = 1_000
"""Snowflake's limit of a list of FILES."""
_FORMAT = "TYPE = PARQUET USE_LOGICAL_TYPE = TRUE BINARY_AS_TEXT = FALSE"
"""Without the first, times come as bare numbers; without the second, bytes must be UTF-8."""
_SCHEMES = {"gs://": "gcs://"}
"""How Snowflake writes an address that others write so."""


def table(wanted: Staging) -> str:
    return GRAMMAR.relation(names.STAGE_SCHEMA, _name(wanted))


def create(wanted: Staging) -> str:
    columns = ", ".join(f"{GRAMMAR.quote(name)} {kind}" for name, kind in wanted.columns)
    return f"CREATE OR REPLACE TEMPORARY TABLE {table(wanted)} ({columns})"


def fill(session: SnowflakeSession, wanted: Staging) -> None:
    """Every file, or a ``WarehouseError``; whoever asked counts the rows."""
    if not wanted.parts:
        return
    external = session.connector.config.stage
    if external is not None and wanted.addresses:
        place, files = f"@{external}", relative(wanted.addresses, _url_of(session, external), external)
    else:
        place = f"@{GRAMMAR.schema(names.STAGE_SCHEMA)}.%{names.folded(_name(wanted))}"
        files = _sent(session, wanted.parts, place)
    for start in range(0, len(files), FILES_OF_A_COPY):
        _copied(session, wanted, place, files[start : start + FILES_OF_A_COPY])


def relative(addresses: Sequence[str], url: str, stage: str) -> list[str]:
    """The files' paths on the external stage that reads ``url``; ``WarehouseError`` where it does not reach them."""
    base = url.rstrip("/") + "/"
    found = []
    for address in addresses:
        spelled = next(
            (new + address[len(old) :] for old, new in _SCHEMES.items() if address.startswith(old)), address
        )
        if not spelled.startswith(base):
            raise WarehouseError(
                f"The stage {stage} reads {base}, and a batch lies elsewhere: {spelled.rpartition('/')[0]}/. Make a stage over"
                " the landing store's bucket, and name it as `stage` of the environment's warehouse."
            )
        found.append(spelled.removeprefix(base))
    return found


def copy(wanted: Staging, place: str, files: Sequence[str]) -> str:
    listed = ", ".join(map(GRAMMAR.literal, files))
    return (
        f"COPY INTO {table(wanted)} FROM {place} FILES = ({listed}) FILE_FORMAT = ({_FORMAT})"
        " MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE ON_ERROR = ABORT_STATEMENT"
    )


def _name(wanted: Staging) -> str:
    return f"stage_{wanted.identity}"


def _copied(session: SnowflakeSession, wanted: Staging, place: str, files: Sequence[str]) -> None:
    """The rows that the files brought. That the statement ends well proves nothing: each file's line is looked at."""
    answer = session.tell(copy(wanted, place, files), "load the batch's files into the stage")
    lines = answer.by_name()
    states = [str(line.get("status")) for line in lines]
    if len(lines) != len(files) or set(states) != {"LOADED"}:
        other = sorted({state for state in states if state != "LOADED"})
        raise WarehouseError(
            f"Snowflake loaded {states.count('LOADED'):,} of {len(files):,} files of a batch"
            f"{'; of others it says ' + ', '.join(other)[:80] if other else ''}. Nothing was changed. Check that the stage"
            " holds the landing store's objects, then load again."
        )


def _sent(session: SnowflakeSession, parts: Sequence[Path], place: str) -> list[str]:
    with _numbered(parts) as folder:
        source = f"file://{folder.as_posix()}/*.parquet"
        answer = session.tell(
            f"PUT {GRAMMAR.literal(source)} {place} PARALLEL = 8 AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = NONE OVERWRITE = TRUE",
            "send the batch's files",
        )
    sent = sorted(str(line["target"]) for line in answer.by_name() if line["status"] == "UPLOADED")
    if sent != [_file(n) for n in range(len(parts))]:
        raise WarehouseError(
            f"Snowflake took {len(sent):,} of {len(parts):,} files of a batch. Nothing was changed; load again."
        )
    return sent


@contextmanager
def _numbered(parts: Sequence[Path]) -> Iterator[Path]:
    """A folder of links to the parts, for names of one kind, and one statement that sends them all."""
    with tempfile.TemporaryDirectory(prefix="data-platform-") as made:
        folder = Path(made)
        for n, part in enumerate(parts):
            (folder / _file(n)).symlink_to(part.absolute())
        yield folder


def _file(number: int) -> str:
    return f"{number:06}.parquet"


def _url_of(session: SnowflakeSession, stage: str) -> str:
    *schema, name = stage.split(".")
    show = f"SHOW STAGES LIKE {GRAMMAR.literal(names.folded(name))} IN SCHEMA {'.'.join(schema)}"
    found = [
        line["url"] for line in session.tell(show, f"look at the stage {stage}").by_name()
        if line["name"] == names.folded(name)
    ]  # fmt: skip
    if not found:
        role = session.connector.config.role
        raise WarehouseError(
            f"There is no stage {stage} in the database {session.connector.config.database}, or the role {role} has no USAGE"
            " on it. Check `stage` of the environment's warehouse."
        )
    if not found[0]:
        raise WarehouseError(
            f"The stage {stage} is an internal one, which reads no bucket. Make an external stage over the landing store's"
            " bucket, or leave `stage` out."
        )
    return str(found[0])
