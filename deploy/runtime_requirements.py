"""`python runtime_requirements.py requirements.lock`: the lock without what only development needs.

The lock holds both. Each of its entries says in `# via` comments who wants it; what is kept here is
what the package's own dependencies want, however far up, pins and hashes untouched.
"""

import re
import sys
from pathlib import Path

ROOT = "data-platform (pyproject.toml)"


def runtime(lock: str) -> str:
    # A package may stand there twice, for different versions of Python.
    entries = [(m[1], m[0]) for m in re.finditer(r"^([A-Za-z0-9._-]+)==.*?(?=^\S|\Z)", lock, re.M | re.S)]
    wanted_by: dict[str, set[str]] = {}
    for name, entry in entries:
        wanted_by.setdefault(name, set()).update(re.findall(r"^ +# +(?:via )?(\S.*?)$", entry, re.M))
    kept = {name for name, parents in wanted_by.items() if ROOT in parents}
    while more := {name for name, parents in wanted_by.items() if name not in kept and parents & kept}:
        kept |= more
    if not kept:
        raise SystemExit(
            "No entry of the lock is wanted by the package itself: was it made with `make lock`?"
        )
    return "".join(entry for name, entry in entries if name in kept)


if __name__ == "__main__":
    sys.stdout.write(runtime(Path(sys.argv[1]).read_text(encoding="utf-8")))
