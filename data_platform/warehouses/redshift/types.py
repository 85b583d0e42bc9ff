"""Which type of Redshift keeps a landed one exactly, and how it comes into a table by ``COPY ... FORMAT PARQUET``.

COPY reads scalar columns as Redshift Spectrum does: it knows no time zone, no time of day and no list, and of a UUID only
bytes. Such columns are staged as a timestamp in UTC or as text.
"""

from __future__ import annotations

import re

from data_platform.column_types import holds
from data_platform.errors import UnsupportedType
from data_platform.tables import Column
from data_platform.warehouses.remote.grammar import Loadable

TEXT_BYTES_MAX = 65_535
BLOB_BYTES_MAX = 1_024_000
_TEXT = f"VARCHAR({TEXT_BYTES_MAX})"
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_INTEGERS = {
    "TINYINT": "SMALLINT",
    "SMALLINT": "SMALLINT",
    "INTEGER": "INTEGER",
    "BIGINT": "BIGINT",
    "UTINYINT": "SMALLINT",
    "USMALLINT": "INTEGER",
    "UINTEGER": "BIGINT",
    "UBIGINT": "DECIMAL(20,0)",
}
_PLAIN = {
    **_INTEGERS,
    "BOOLEAN": "BOOLEAN",
    "FLOAT": "REAL",
    "DOUBLE": "DOUBLE PRECISION",
    "DATE": "DATE",
    "TIME": "TIME",
    "TIMESTAMP": "TIMESTAMP",
    "TIMESTAMPTZ": "TIMESTAMPTZ",
    "UUID": "VARCHAR(36)",
    "VARCHAR": _TEXT,
    "JSON": _TEXT,
    "BLOB": f"VARBYTE({BLOB_BYTES_MAX})",
}
_ALIASES = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ", "TEXT": "VARCHAR", "INT": "INTEGER", "BOOL": "BOOLEAN"}
_TOO_LONG = (
    f"strlen({{}}) > {TEXT_BYTES_MAX}",
    f"hold a text of more than {TEXT_BYTES_MAX:,} bytes, the most of a VARCHAR in Redshift. Leave the column out, or cut it at the"
    " source in a view",
)
_NUL = "contains({}, chr(0))", "hold the character U+0000, which Redshift's texts cannot"
_YEARS = (
    "NOT isfinite({}) OR year({}) NOT BETWEEN 1 AND 9999",
    "hold a time before year 1, after year 9999 or without end, which COPY does not read. Say `as: text` for the column",
)


def redshift_type(landed: str) -> str:
    """``UnsupportedType`` where no type keeps every value."""
    kind = plain(landed)
    if kind.endswith("[]"):
        return _TEXT
    if found := _DECIMAL.fullmatch(kind):
        if int(found[2]) <= 37:
            return kind
    elif kind in _PLAIN:
        return _PLAIN[kind]
    raise UnsupportedType(
        f"Redshift has no type that keeps every value of {landed}. Say `as: text` for the column in the catalog."
    )


def loadable(column: Column) -> Loadable:
    """How a column is staged. ``UnsupportedType`` names it where it cannot be."""
    kind = plain(column.type)
    try:
        made = redshift_type(kind)
    except UnsupportedType:
        raise UnsupportedType(
            f"The column {column.name} lands as {column.type}, of which Redshift has no type that keeps every value."
            f" Say `as: {{{column.name}: text}}` for it in the catalog."
        ) from None
    if kind.endswith("[]"):
        return Loadable(made, "to_json({})::VARCHAR", refused=(_as_text(_TOO_LONG), _as_text(_NUL)))
    if kind in (
        "VARCHAR",
        "JSON",
    ):  # whether COPY takes what Parquet marks as JSON for a text is not said anywhere
        return Loadable(made, "{}::VARCHAR" if kind == "JSON" else None, refused=(_TOO_LONG, _NUL))
    if kind == "UUID":
        return Loadable(made, "{}::VARCHAR")
    if kind == "BLOB":
        words = f"hold more than {BLOB_BYTES_MAX:,} bytes, the most of a VARBYTE in Redshift"
        return Loadable(made, refused=((f"octet_length({{}}) > {BLOB_BYTES_MAX}", words),))
    if kind in ("TINYINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"):
        return Loadable(made, f"{{}}::{made}")
    if kind == "TIME":
        return Loadable("VARCHAR(16)", "{}::VARCHAR", "CAST({} AS TIME)")
    if kind == "TIMESTAMPTZ":
        return Loadable("TIMESTAMP", value="({} AT TIME ZONE 'UTC')", refused=(_YEARS,))
    if kind in ("DATE", "TIMESTAMP"):
        return Loadable(made, refused=(_YEARS,))
    return Loadable(made)


def _as_text(refused: tuple[str, str]) -> tuple[str, str]:
    condition, words = refused
    return condition.replace("{}", "to_json({})::VARCHAR"), words


def plain(landed: str) -> str:
    upper = re.sub(r"\s*,\s*", ",", landed.strip().upper())
    return _ALIASES.get(upper, upper)


def described(data_type: str, length: int | None, precision: int | None, scale: int | None) -> str:
    """The type of a column as the catalog views tell it, in the words of ``redshift_type``."""
    kind = data_type.lower()
    if kind in ("character varying", "character"):
        return f"VARCHAR({length})" if length else _TEXT
    if kind == "numeric":
        return f"DECIMAL({precision},{scale})"
    return _CATALOG_WORDS.get(kind, data_type.upper())


_CATALOG_WORDS = {
    "timestamp with time zone": "TIMESTAMPTZ",
    "timestamp without time zone": "TIMESTAMP",
    "time without time zone": "TIME",
    "binary varying": f"VARBYTE({BLOB_BYTES_MAX})",
    "varbyte": f"VARBYTE({BLOB_BYTES_MAX})",
}


def widens(held: str, landed: str) -> bool:
    if held == redshift_type(landed):
        return False
    return holds(_landed(redshift_type(landed)), _landed(held))


def _landed(kind: str) -> str:
    return {"REAL": "FLOAT", "DOUBLE PRECISION": "DOUBLE"}.get(kind, kind)
