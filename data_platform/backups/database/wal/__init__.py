"""A source's write-ahead log in the backup stores: received, shipped, kept and given back, without a gap.

``archive.py`` is one store's WAL, ``records.py`` says what each object must be, ``gaps.py`` finds what is missing.
"""

from data_platform.backups.database.wal.archive import WalArchive, wal_archives
from data_platform.backups.database.wal.gaps import Coverage
from data_platform.backups.database.wal.records import Heartbeat, Interruption

__all__ = ["Coverage", "Heartbeat", "Interruption", "WalArchive", "wal_archives"]
