"""dbt in a process of its own, to be killed: forked from one that has imported it, which costs 3 CPU-s once.

``python -m data_platform_tests.dbt.forked`` takes dbt's arguments, a JSON list a line, and writes a line for each of
dbt's events; before them the process id, after them how the process ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

END = "ended "
ROOT = Path(__file__).parents[2]


class Forks:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, arguments: Sequence[str], *, kill_at: int | None = None) -> tuple[int, int]:
        """Run dbt; kill it as its event ``kill_at`` is heard of. How many events were heard, and the exit code,
        negative for a signal."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([*arguments]) + "\n")
        self._process.stdin.flush()
        child, heard = int(self._line()), 0
        while not (line := self._line()).startswith(END):
            heard += 1
            if heard == kill_at:
                os.kill(child, signal.SIGKILL)
        return heard, os.waitstatus_to_exitcode(int(line.removeprefix(END)))

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process that forks has ended"
        return line


@contextmanager
def forks(variables: Mapping[str, str]) -> Iterator[Forks]:
    """dbt gets ``variables`` as well; it ends with the process that started it."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        env={**os.environ, **variables},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Forks(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


def serve() -> None:
    import dbt.cli.main  # noqa: F401  (each fork needs it)

    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a thread would not survive the fork"
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            raise SystemExit(0 if build(json.loads(line)) else 1)
        _, status = os.waitpid(child, 0)
        os.write(1, f"{END}{status}\n".encode())


def build(arguments: Sequence[str]) -> bool:
    """Whether dbt succeeds; what it does is told on the standard output, what it prints goes to the other."""
    from dbt.cli.main import dbtRunner

    told = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    told.write(f"{os.getpid()}\n")
    return (
        dbtRunner(callbacks=[lambda event: told.write(f"{event.info.name}\n")]).invoke([*arguments]).success
    )  # type: ignore[list-item, return-value]


if __name__ == "__main__":
    serve()
