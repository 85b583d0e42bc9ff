"""`python runtime_requirements.py requirements.lock pyproject.toml`: the lock without what only development needs.

The lock holds both. Each of its entries says in `# via` comments who wants it; what is kept here is
what the package's own dependencies and its extras want, however far up, pins and hashes untouched.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = "data-platform (pyproject.toml)"


def of_extras(project: str) -> set[str]:
    """The packages that some kind of source needs: the catalog may name any kind."""
    extras = tomllib.loads(project)["project"].get("optional-dependencies", {})
    return {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for lines in extras.values() for line in lines}


def runtime(lock: str, project: str) -> str:
    # A package may stand there twice, for different versions of Python.
    entries = [(m[1], m[0]) for m in re.finditer(r"^([A-Za-z0-9._-]+)==.*?(?=^\S|\Z)", lock, re.M | re.S)]
    wanted_by: dict[str, set[str]] = {}
    for name, entry in entries:
        wanted_by.setdefault(name, set()).update(re.findall(r"^ +# +(?:via )?(\S.*?)$", entry, re.M))
    extras = of_extras(project)
    kept = {name for name, parents in wanted_by.items() if ROOT in parents or name in extras}
    while more := {name for name, parents in wanted_by.items() if name not in kept and parents & kept}:
        kept |= more
    if not kept or not extras <= kept:
        raise SystemExit(
            "An entry that the package itself or an extra wants is not in the lock: was it made with `make lock`?"
        )
    return "".join(entry for name, entry in entries if name in kept)


if __name__ == "__main__":
    sys.stdout.write(runtime(*(Path(name).read_text(encoding="utf-8") for name in sys.argv[1:3])))
