"""Dagster Pipes for processes that a sync starts: what they log is a log line of the run.

A process is told where to report by two variables (``DAGSTER_PIPES_CONTEXT``, ``DAGSTER_PIPES_MESSAGES``) and speaks through
``dagster_pipes`` of its own environment. It is started and ended by its source, whose sync the command line runs too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import dagster as dg


@contextmanager
def reporting(context: dg.AssetExecutionContext) -> Iterator[Callable[[], Mapping[str, str]]]:
    """What gives a process its variables. Nothing is opened for a run that starts none."""
    with ExitStack() as stack:

        def variables() -> Mapping[str, str]:
            session = stack.enter_context(
                dg.open_pipes_session(
                    context,
                    context_injector=dg.PipesTempFileContextInjector(),
                    message_reader=dg.PipesTempFileMessageReader(),
                )
            )
            return session.get_bootstrap_env_vars()

        yield variables
