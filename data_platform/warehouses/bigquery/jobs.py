"""Jobs with names of our own: sent any number of times, a job runs once.

BigQuery refuses a second job of one name. So when an answer is lost the same job is sent again, and a refusal means that the
first one is there: it is looked up and waited for. A job that ended in an error has used up its name, and the next try has
another one, with its number at the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from data_platform.errors import WarehouseError
from data_platform.warehouses.bigquery.errors import of_exception, of_result, readable, unanswered
from data_platform.warehouses.remote.engine import Transient

Answer = TypeVar("Answer")
CALLS, JOBS = 5, 5
"""How often one request is sent, and how many jobs are made of one piece of work, while the failure may pass."""
PAUSE_SECONDS_MAX = 8.0
POLL_SECONDS_MAX = 3.0


class Jobs:
    """Requests over one ``client``. ``sleep`` waits some seconds; ``seconds`` is how long one answer may take."""

    def __init__(
        self,
        client: Any,
        location: str | None,
        sleep: Callable[[float], None] = time.sleep,
        seconds: float = 60,
    ) -> None:
        self.client, self.location, self.seconds = client, location, seconds
        self._sleep = sleep

    def call(self, doing: str, request: Callable[[], Answer], *, question: bool = False) -> Answer:
        """One request that may be sent again, until there is an answer that does not pass."""
        for attempt in range(CALLS):
            try:
                return request()
            except Exception as error:
                failed = self._failed(error, doing, question)
                if not isinstance(failed, Transient) or attempt == CALLS - 1:
                    raise failed from None
            self._sleep(min(PAUSE_SECONDS_MAX, 0.25 * 2**attempt))
        raise AssertionError("the last attempt returns or raises")

    def run(self, name: str, doing: str, begin: Callable[[str], Any]) -> Any:
        """The job that ``begin`` sends under the name it is given, once it is done without an error."""
        for number in range(1, JOBS + 1):
            job = self._wait(self._sent(f"{name}_{number}", doing, begin), doing)
            if not job.error_result:
                return job
            failed = readable(of_result(job.error_result), doing)
            if not isinstance(failed, Transient) or number == JOBS:
                raise failed
            self._sleep(min(PAUSE_SECONDS_MAX, 0.25 * 2**number))
        raise AssertionError("the last attempt returns or raises")

    def _sent(self, name: str, doing: str, begin: Callable[[str], Any]) -> Any:
        from google.api_core.exceptions import Conflict, NotFound

        def send() -> Any:
            try:
                return begin(name)
            except Conflict:
                pass
            try:
                return self.client.get_job(name, location=self.location, retry=None, timeout=self.seconds)
            except NotFound:  # for a moment after a job is there, it may not be found yet
                raise Transient(
                    f"BigQuery has a job {name} and does not find it.", session_lost=False
                ) from None

        return self.call(doing, send)

    def _wait(self, job: Any, doing: str) -> Any:
        pause = 0.1
        while job.state != "DONE":
            self._sleep(pause)
            pause = min(POLL_SECONDS_MAX, pause * 1.5)
            self.call(doing, lambda: job.reload(retry=None, timeout=self.seconds))
        return job

    def _failed(self, error: Exception, doing: str, question: bool) -> WarehouseError:
        import requests
        from google.auth.exceptions import GoogleAuthError
        from google.resumable_media.common import DataCorruption, InvalidResponse

        if isinstance(error, WarehouseError):
            return error
        said = of_exception(error)
        if said is not None:
            return readable(said, doing, question=question)
        broken = (
            requests.RequestException,
            GoogleAuthError,
            OSError,
            DataCorruption,
            InvalidResponse,
            ValueError,
        )
        if isinstance(error, broken):
            return unanswered(error, doing)
        raise error
