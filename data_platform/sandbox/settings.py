"""PostgreSQL's settings for the servers of this package, by purpose."""

from __future__ import annotations

from collections.abc import Mapping

LAPTOP: Mapping[str, str] = {
    "shared_buffers": "256MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "128MB",
    "effective_cache_size": "1GB",
    "max_connections": "60",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "wal_level": "logical",
    "max_wal_senders": "10",
    "max_replication_slots": "10",
    "max_prepared_transactions": "10",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %d ",
}
"""For a server on a laptop with other programs. Prepared transactions and logical
decoding are on because many real sources have them."""

KEPT: Mapping[str, str] = {"summarize_wal": "on"}
"""For a server of PostgreSQL 17 or later that is backed up: it can give what changed since the last backup."""

FAST: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
"""For servers whose data may be lost in a power failure."""

QUIET: Mapping[str, str] = {**FAST, "autovacuum": "off"}
"""For servers of tests and measurements: nothing waits for the disk, and no vacuum starts in the middle."""

QUIET_BACKED_UP: Mapping[str, str] = {**QUIET, "full_page_writes": "on"}
"""The same where the server is backed up, which ``full_page_writes`` is needed for."""

BULK: Mapping[str, str] = {
    **QUIET,
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "8GB",
}
"""For filling a new server, which is synced to disk and restarted afterwards."""
