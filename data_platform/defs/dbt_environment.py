"""Which variables dbt's process is given: what any program needs, dbt's own, and those that the project names.

dbt renders every file of the project with Jinja, whose ``env_var`` reads whatever the process was given, and dbt
writes what it rendered to its manifest, its logs and the warehouse. The passwords of sources, the key of the
hashes and the keys of stores are none of its business. The warehouse's kind says what dbt needs to reach it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from data_platform.dbt_sources import MARK

_NAMES = frozenset(
    "PATH HOME USER LOGNAME SHELL LANG LANGUAGE TERM NO_COLOR TZ TMPDIR TMP TEMP VIRTUAL_ENV"
    " LD_LIBRARY_PATH DYLD_LIBRARY_PATH DYLD_FALLBACK_LIBRARY_PATH SSL_CERT_FILE SSL_CERT_DIR"
    " REQUESTS_CA_BUNDLE CURL_CA_BUNDLE HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY".split()
)
_STARTS = ("DBT_", "LC_", "PYTHON", "XDG_")
_NAMED = re.compile(r"""env_var\(\s*['"](\w+)['"]""")


def passed_on(files: Iterable[Path], environ: Mapping[str, str]) -> dict[str, str]:
    """Of ``environ`` what dbt is given, whose project consists of ``files``."""
    named = {name for path in files for name in _named(path)}
    return {
        name: value
        for name, value in environ.items()
        if name in named or name.upper() in _NAMES or name.startswith(_STARTS)
    }


@contextmanager
def only(kept: Mapping[str, str]) -> Iterator[None]:
    """The block's environment is ``kept``, so that a process started in it inherits nothing else."""
    before = dict(os.environ)
    for name in before.keys() - kept.keys():
        del os.environ[name]
    os.environ.update(kept)
    try:
        yield
    finally:
        for name in kept.keys() - before.keys():
            os.environ.pop(name, None)
        os.environ.update(before)


def _named(path: Path) -> list[str]:
    """What ``env_var`` names in a file that people wrote. A generated one holds texts of the source."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return [] if text.startswith(MARK) else _NAMED.findall(text)
