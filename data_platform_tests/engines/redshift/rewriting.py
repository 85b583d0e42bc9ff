"""What the stand-in makes of Redshift's SQL so that PostgreSQL runs it, and what it refuses because Redshift would."""

from __future__ import annotations

import re

REFUSED = (
    r"ADD COLUMN IF NOT EXISTS",
    r"CREATE OR REPLACE TABLE",
    r"\bON CONFLICT\b",
    r"\bRETURNING\b",
    r"\bFILTER \(",
    r"\bDELETE FROM [^ ]+ (?:AS )?[a-z]\b(?! USING)",
    r"\bALTER COLUMN \S+ (?:SET DATA )?TYPE\b",
    r"\bCURRENT_TIMESTAMP\b",
    r"\bARRAY\[",
    r"::jsonb?\b",
    r"\bCAST\([^()]* AS VARCHAR\)",
    r"\bHUGEINT|\bUUID\b|\bJSONB?\b",
)
"""Outside of quotes. A cast to VARCHAR without a length is allowed there, and cuts the text to 256 bytes."""
_QUOTED = re.compile(r"('(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")")
_DROPPED = (
    r" DISTSTYLE \w+",
    r" DISTKEY ?\([^()]*\)",
    r" WITH NO SCHEMA BINDING",
    r" BACKUP (?:YES|NO)",
)
_SORT_KEY = r" (?:COMPOUND |INTERLEAVED )?SORTKEY ?\(((?:[^()\x00]|\x00)*)\)"
"""An event trigger reads what is left of it, see ``install.sql``."""
_SPELLED = {r"\bDATEDIFF\(us,": "datediff('us',", r"\bpg_catalog\.svv_": "rs.svv_"}
_TYPES = _SPELLED | {r"\bVARBYTE\(\d+\)": "bytea", r"\bSUPER\b": "text"}
_TRIED = {
    "DOUBLE PRECISION": "rs_try_double",
    "DATE": "rs_try_date",
    "TIMESTAMPTZ": "rs_try_instant",
    "BOOLEAN": "rs_try_boolean",
    "VARCHAR(65535)": "rs_try_text",
}


class Refused(Exception):
    """Redshift would not run this."""


def as_postgres(sql: str) -> str:
    """``Refused`` for what Redshift has not, though PostgreSQL does."""
    quoted: list[str] = []

    def keep(found: re.Match[str]) -> str:
        text = found[0]  # a name in quotes is in small letters all the same
        quoted.append(text.lower() if text.startswith('"') else text)
        return f"\x00{len(quoted) - 1}\x00"

    bare = _QUOTED.sub(keep, sql)
    for pattern in REFUSED:
        if found := re.search(pattern, bare, re.I):
            raise Refused(f'syntax error at or near "{found[0]}"')
    for pattern in _DROPPED:
        bare = re.sub(pattern, "", bare, flags=re.I)
    for pattern, instead in _TYPES.items():
        bare = re.sub(pattern, instead, bare, flags=re.I)
    bare = re.sub(_SORT_KEY, r" /*sortkey \1*/", bare, flags=re.I)
    bare = _tried(bare)
    return re.sub(r"\x00(\d+)\x00", lambda found: quoted[int(found[1])], bare)


def _tried(sql: str) -> str:
    """TRY_CAST as a call of a function of the stand-in."""
    while (start := sql.find("TRY_CAST(")) >= 0:
        depth, at = 1, start + len("TRY_CAST(")
        while depth:
            depth += {"(": 1, ")": -1}.get(sql[at], 0)
            at += 1
        value, _, kind = sql[start + len("TRY_CAST(") : at - 1].rpartition(" AS ")
        sql = f"{sql[:start]}{_TRIED[kind]}(({value})::text){sql[at:]}"
    return sql
