"""Every error this platform raises on purpose, drawn once.

    DataPlatformError
    ├── CatalogError            the YAML is wrong: every mistake at once
    ├── ConfigurationError      an environment variable or a setting is missing or wrong
    ├── SourceError             a source system or one of its tables
    │   ├── SourceUnreachable       (retryable) no connection, or it was lost
    │   │   └── TableLocked             another session holds or waits for a lock; we gave way
    │   ├── TableMissing            the table, or a column the catalog names, is not there
    │   ├── SchemaDrift             the table changed in a way that does not flow by itself
    │   ├── UnsupportedType         a column whose values cannot be kept exactly
    │   ├── ValueNotKept            one value that its column's rule cannot keep exactly
    │   ├── PersonalColumnUndeclared  a column looks personal and nothing is said about it
    │   ├── DuplicateKey            the declared key is null or not unique
    │   └── PositionLost            the source cannot go on from where it was read
    ├── LandingError            the landing store, or another store of objects
    │   ├── StoreFull               no space left
    │   ├── StoreRefused            wrong or expired credentials, no permission, no such bucket
    │   ├── StoreUnreachable        (retryable) no answer, or only errors, through every attempt
    │   ├── ObjectDamaged           (retryable) other bytes arrived than were sent
    │   ├── ObjectLocked            nobody can delete or overwrite it yet
    │   ├── ObjectSealed            encrypted for another key
    │   ├── BatchConflict           (retryable) another writer committed this sequence first
    │   │   └── PartReplaced            a redaction replaced a part while it was read
    │   ├── LedgerBroken            a manifest is missing, altered or out of order
    │   ├── PartDamaged             a part file is missing, short or altered
    │   └── PartExpired             a part that the catalog's rule has deleted
    ├── BackupError             a backup, a restore, a drill
    │   ├── BackupMissing           no backup of that day, or none at all
    │   └── BackupDamaged           a manifest or an object is missing, short or altered
    ├── WarehouseError          the warehouse
    │   ├── WarehouseBusy           (retryable) another process holds it
    │   ├── LoadRefused             a batch out of order, or one that does not fit
    │   ├── QueryFailed             a statement that a person typed
    │   │   └── UnknownRelation         it names a table or view that is not there
    │   └── UnsupportedExpression   what the engine cannot say exactly, such as a rule's test
    ├── KeystoreUnreachable     (retryable) the keys of sealed values cannot be read or written
    ├── ExportFailed            (retryable) a table that was not exported for other engines
    ├── MetricError             a metric's history that cannot be judged
    ├── SandboxError            the local sandbox server
    ├── AlertError              (retryable) a message that could not be delivered
    │   └── AlertRefused            the receiver will not take it as things are
    ├── AirflowUnreachable      (retryable) the Airflow beside the platform does not answer
    └── SyncFailed              some tables of a sync failed; the others are done

A message is one readable paragraph: what failed, on which object, what to do
next. It never holds a value of a row or a secret, nor a character that acts on a terminal. ``retryable`` says whether
trying the same thing again may succeed; it is decided where the cause is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from data_platform.printable import printable


class DataPlatformError(Exception):
    """Base of all; ``exit_code`` is what the command line ends with."""

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __str__(self) -> str:
        return printable(super().__str__())


class CatalogError(DataPlatformError):
    """``mistakes`` are lines of ``file: path: what to do``."""

    exit_code = 2

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class ConfigurationError(DataPlatformError):
    exit_code = 2


class SourceError(DataPlatformError):
    exit_code = 3


class SourceUnreachable(SourceError):
    retryable = True


class TableLocked(SourceUnreachable):
    pass


class TableMissing(SourceError):
    pass


class SchemaDrift(SourceError):
    pass


class UnsupportedType(SourceError):
    pass


class ValueNotKept(SourceError):
    pass


class PersonalColumnUndeclared(SourceError):
    pass


class DuplicateKey(SourceError):
    pass


class PositionLost(SourceError):
    pass


class LandingError(DataPlatformError):
    exit_code = 4


class StoreFull(LandingError):
    pass


class StoreRefused(LandingError):
    pass


class StoreUnreachable(LandingError):
    retryable = True


class ObjectDamaged(LandingError):
    retryable = True


class ObjectSealed(LandingError):
    pass


class ObjectLocked(LandingError):
    pass


class BatchConflict(LandingError):
    retryable = True


class PartReplaced(BatchConflict):
    pass


class LedgerBroken(LandingError):
    pass


class PartDamaged(LandingError):
    pass


class PartExpired(LandingError):
    pass


class BackupError(DataPlatformError):
    exit_code = 8


class BackupMissing(BackupError):
    pass


class BackupDamaged(BackupError):
    pass


class WarehouseError(DataPlatformError):
    exit_code = 5


class WarehouseBusy(WarehouseError):
    retryable = True


class LoadRefused(WarehouseError):
    pass


class QueryFailed(WarehouseError):
    pass


class UnknownRelation(QueryFailed):
    pass


class UnsupportedExpression(WarehouseError):
    """Not known to the engine's dialect."""


class KeystoreUnreachable(DataPlatformError):
    exit_code = 10
    retryable = True


class ExportFailed(DataPlatformError):
    exit_code = 9
    retryable = True


class MetricError(DataPlatformError):
    pass


class SandboxError(DataPlatformError):
    exit_code = 6


class AirflowUnreachable(DataPlatformError):
    retryable = True


class AlertError(DataPlatformError):
    exit_code = 7
    retryable = True


class AlertRefused(AlertError):
    retryable = False


class SyncFailed(DataPlatformError):
    """``failures`` maps each table that failed (``source/table``) to why."""

    def __init__(self, failures: Mapping[str, DataPlatformError]) -> None:
        self.failures = dict(failures)
        lines = "\n".join(f"{table}: {error}" for table, error in self.failures.items())
        super().__init__(f"{len(self.failures)} table(s) did not sync; the others are done.\n{lines}")
