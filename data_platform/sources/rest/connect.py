"""From a connection's keys to the client of the API."""

from __future__ import annotations

from data_platform.sources.http.client import HttpClient, Limits
from data_platform.sources.http.waiting import Clock
from data_platform.sources.rest.config import Get, RestConnection


def open_client(source: str, connection: RestConnection, get: Get, clock: Clock | None = None) -> HttpClient:
    """A client for the API. ConfigurationError where a variable is missing."""
    limits = Limits(
        attempts=connection.attempts,
        connect_seconds=connection.connect_timeout_seconds,
        read_seconds=connection.read_timeout_seconds,
        total_seconds=connection.total_timeout_seconds,
        wait_seconds_max=connection.wait_seconds_max,
        requests_per_second=connection.requests_per_second,
    )
    return HttpClient(
        source,
        limits,
        auth=connection.auth.made(get) if connection.auth else None,
        headers=connection.headers,
        secret_headers={name: get(variable) for name, variable in connection.headers_env.items()},
        clock=clock,
    )
