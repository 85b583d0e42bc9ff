"""Run one command and write its wall time, CPU time and peak memory as JSON into a file.

    python -I -S launch.py FIGURES.json TIMEOUT_SECONDS COMMAND [ARGUMENT]...

A program of its own, and a small one: Linux counts the memory of the process that
starts a command into the command's peak, so the one that measures must weigh nothing.
The exit code is the command's.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time


def main() -> int:
    figures, timeout, command = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)  # so that a time-out ends all it started
        try:
            os.execvp(command[0], command)
        except OSError as error:
            print(f"{command[0]}: {error.strerror}", file=sys.stderr)
            os._exit(127)

    timed_out = False

    def end(number: int, frame: object) -> None:
        nonlocal timed_out
        timed_out = True
        os.killpg(pid, signal.SIGKILL)

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, timeout)
    _, status, used = os.wait4(pid, 0)
    seconds = time.monotonic() - start
    with open(figures, "w") as file:  # noqa: PTH123 - pathlib would weigh more than all the rest
        json.dump(
            {
                "wall_seconds": seconds,
                "cpu_seconds": used.ru_utime + used.ru_stime,
                "peak_mb": used.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3),
                "timed_out": timed_out,
            },
            file,
        )
    return os.waitstatus_to_exitcode(status) & 0xFF


if __name__ == "__main__":
    sys.exit(main())
