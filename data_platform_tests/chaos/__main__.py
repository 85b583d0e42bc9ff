"""``make chaos``: a kill at every distinct point of a sync, then seeded schedules, on servers of its own;
one line of totals at the end."""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from data_platform_tests.chaos.forks import fork_server
from data_platform_tests.chaos.schedule import Chaos, command, small_disk
from data_platform_tests.chaos.source import running_source
from data_platform_tests.chaos.sweep import OPERATIONS, Sweep
from data_platform_tests.chaos.world import TABLES, World
from data_platform_tests.servers.faulty import faulty_proxy
from data_platform_tests.servers.objects import seaweedfs


def main() -> int:
    """0 when nothing was lost, duplicated, resurrected or left by hand."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many schedules to run")
    parser.add_argument("--seed", type=int, help="the one to repeat")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument(
        "--points", type=int, default=10_000, help="how many points of each operation to kill at before"
    )
    given = parser.parse_args()
    seeds = [given.seed] if given.seed is not None else list(range(given.first, given.first + given.seeds))
    failed = 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # servers and disk are taken away then too
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        folder.chmod(0o711)
        server = stack.enter_context(seaweedfs(folder / "bucket"))
        chaos = Chaos(
            stack.enter_context(fork_server(folder)),
            stack.enter_context(running_source(folder)),
            folder / "disk",
            small=stack.enter_context(small_disk(folder / "disk")),
            bucket=(server, stack.enter_context(faulty_proxy(server.url))),
        )
        if given.seed is None:
            failed += sweep(chaos, folder / "disk" / "sweep", given.points)
        for number, seed in enumerate(seeds, 1):
            if wrong := chaos.run(seed):
                failed += 1
                tell(f"{wrong}\nrepeat it: {command(seed)}")
            if number % 50 == 0:
                tell(f"{number} of {len(seeds)} schedules, {failed} of them with findings")
    tell(chaos.totals.line())
    return 1 if failed else 0


def sweep(chaos: Chaos, folder: Path, points: int) -> int:
    """Kill each operation at each of its points, or at so many; the findings' number."""
    failed = 0
    for operation in OPERATIONS if points else ():
        world = World(folder, chaos.source.url, chaos.source.seen_url)
        world.make()
        one = Sweep(chaos.forks, world, random.Random(operation), TABLES[:2])
        found = range(1, len(one.find(operation)) + 1)
        for number in sorted(random.Random(operation).sample(found, min(len(found), points))):
            if wrong := one.kill(operation, number):
                failed += 1
                chaos.totals.by_hand += 1
                tell(wrong)
        chaos.totals.kills.update(one.kinds)
        tell(f"{operation}: killed at {one.killed} of {len(found)} points")
    return failed


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
