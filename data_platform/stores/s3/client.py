"""boto3's client and its manager of large files, opened as a store wants them."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from typing import Any

from data_platform.stores._remote import Transfer
from data_platform.stores.s3.config import S3StoreConfig


def open_client(config: S3StoreConfig, transfer: Transfer, secret: Callable[[str, str], str]) -> Any:
    """The client; ``secret`` gives the value of the environment variable that a setting names."""
    from boto3.session import Session
    from botocore.config import Config
    from botocore.session import Session as Core

    core, descriptions = Core(), _descriptions()
    core.register_component("data_loader", descriptions)
    given = {}
    for setting, argument in (
        ("access_key_env", "aws_access_key_id"),
        ("secret_key_env", "aws_secret_access_key"),
        ("session_token_env", "aws_session_token"),
    ):
        if (variable := getattr(config, setting)) is not None:
            given[argument] = secret(setting, variable)
    session = Session(region_name=config.region, botocore_session=core, **given)
    # each session adds the same folder
    descriptions.search_paths[:] = dict.fromkeys(descriptions.search_paths)
    client = session.client(
        "s3",
        endpoint_url=config.endpoint_url,
        config=Config(
            retries={"mode": "standard", "total_max_attempts": transfer.attempts},
            connect_timeout=transfer.connect_seconds,
            read_timeout=transfer.answer_seconds,
            max_pool_connections=10,  # RemoteStore.requests_at_once
            # every write brings its own SHA-256; other services do not know the SDK's default
            request_checksum_calculation="when_required",
            # names of buckets as hosts need DNS that a service of one's own seldom has
            s3={"addressing_style": "path"} if config.endpoint_url else None,
        ),
    )
    client.meta.events.register("needs-retry.s3", _what_else_to_try_again(transfer))
    return client


@cache
def _descriptions() -> Any:
    """The SDK's descriptions of the service, read once a process: nine tenths of what opening a client takes."""
    from botocore.loaders import create_loader

    return create_loader()


def transfer_manager(client: Any, transfer: Transfer, part_bytes: int) -> Any:
    """What sends or fetches one large file, its pieces side by side; a context manager."""
    from boto3.s3.transfer import TransferConfig, create_transfer_manager

    return create_transfer_manager(
        client,
        TransferConfig(
            multipart_threshold=transfer.large_bytes,
            multipart_chunksize=part_bytes,
            max_concurrency=transfer.threads,
            num_download_attempts=transfer.attempts,
            max_io_queue=64,  # of 256 KB each: what is fetched and not yet written
            preferred_transfer_client="classic",
        ),
    )


def _what_else_to_try_again(transfer: Transfer) -> Callable[..., float | None]:
    def seconds(response: Any, attempts: int, **_: Any) -> float | None:
        """Seconds to wait before the next attempt, where boto3 itself would make none."""
        if response is None or attempts >= transfer.attempts:
            return None
        http, parsed = response
        code = parsed.get("Error", {}).get("Code")
        if http.status_code == 429 or code in ("ConditionalRequestConflict", "OperationAborted"):
            return random.uniform(0, min(2.0 ** (attempts - 1), transfer.pause_seconds_max))
        return None

    return seconds
