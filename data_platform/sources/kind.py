"""What a kind of source says of itself, before anything of it connects: its name and the YAML it takes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from data_platform.tables import TableId
from data_platform.yaml_fields import Model


class Connection(Model):
    """How a source of one kind is reached: what stands under ``connection``. Secrets are named by the environment
    variables that hold them, with keys that end in ``_env``."""

    def variables(self, environ: Mapping[str, str]) -> Mapping[str, bool]:
        """The keys whose variables are read, and whether each must be set."""
        return {
            key: not isinstance(field.default, str)  # one with a default may stay unset
            for key, field in type(self).model_fields.items()
            if key.endswith("_env") and isinstance(getattr(self, key), str)
        }

    def variable(self, key: str) -> str:
        """The variable that ``key``, one of ``variables``, names."""
        name: str = getattr(self, key)
        return name

    def under(self, root: Path) -> Self:
        """With relative paths of files that start at ``root``, the project's folder."""
        return self


class SourceKeys(Model):
    """The keys of a source's file that only one kind has."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a source of a kind can do, known without connecting; each is asked in one place.

    ``deletes``: when a row that is gone is seen: when the table is read whole, when its slices are compared or read,
    or as events among the changes. ``proof``: by what a read is shown to be whole: the source's own ``counted`` rows and
    fingerprints, or by nothing. ``slices``: whether one day can be read by itself. ``rejects``: whether records may come
    that cannot be taken, and wait in quarantine. ``replays``: whether such a record can be taken by itself later
    (``reading.Again``).
    """

    deletes: Literal["refresh", "slices", "events"]
    proof: Literal["none", "counted"]
    slices: bool
    rejects: bool = False
    replays: bool = False


@dataclass(frozen=True, slots=True)
class KindSettings:
    """What only one kind of source must know of a table, resolved. ``place`` is what the source calls the table,
    for people; ``as_text`` are the columns that land in a text form which is the source's own. ``in_sql``: the
    place is a name that SQL knows. ``can`` is what this table can do where it is not what its kind can. ``reads`` are
    tables of other sources from which its rows are computed, as they have landed (``sources.inputs``)."""

    place: str
    as_text: tuple[str, ...] = ()
    reads: tuple[TableId, ...] = field(default=(), kw_only=True)
    can: Capabilities | None = field(default=None, kw_only=True)
    in_sql: bool = field(default=False, kw_only=True)


class HasSettings(Protocol):
    """The catalog's ``Table`` is one."""

    @property
    def settings(self) -> KindSettings: ...


class CommonKeys(Protocol):
    """What a table's block of any kind says, as far as a kind's own keys hang on it."""

    @property
    def cursor(self) -> str | None: ...
    @property
    def times(self) -> tuple[str, ...]:
        """The columns that must land as times."""


class TableKeys(Model):
    """The keys of a table's block that only one kind has."""

    def named_columns(self) -> Mapping[str, Collection[str]]:
        """By key, the columns that it names."""
        return {}

    def path_of(self, column: str) -> str:
        """Where the value of ``column`` is in a record, of kinds whose columns may take theirs from within."""
        return column

    def mistakes(
        self, common: CommonKeys, written: Collection[str]
    ) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """What does not fit together, as (path in the block, what to do); ``written`` are the keys of the block as
        far as nothing else is wrong with them."""
        yield from ()

    def name_at_source(self, name: str) -> str:
        """What the source calls the table of the block ``name``, without what is around it."""
        return name

    def default_key(self, blocks: Mapping[str, Any]) -> tuple[str, ...]:
        """The key of a block that names none; ``blocks`` are all of the file, by name."""
        return ()

    def settings(self, name: str, source: Any, blocks: Mapping[str, Any]) -> KindSettings:
        """The settings of the block ``name``, one of ``blocks``, in the file of ``source`` (the kind's own
        ``SourceKeys``)."""
        return KindSettings(name)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A source's file in the platform's keys. ``moved`` says of paths in it where they were written, ``mistakes`` are
    (path as it was written, what to do)."""

    data: Mapping[str, Any]
    moved: Mapping[tuple[str | int, ...], tuple[str | int, ...]]
    mistakes: tuple[tuple[tuple[str | int, ...], str], ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of source. ``title`` is its name in sentences. ``reading``, ``looking`` and ``discover`` are
    functions as ``module:function``, imported when they are called: ``kinds.py`` says what they take and give.

    ``look_every_seconds``: how often the sensor looks at a source of this kind; more where a look costs part of a
    quota. ``rewrite``, as ``module:function``, takes a file of this kind as it is read and gives it ``Rewritten``, for a kind
    whose files may be written in the words of another tool. ``hook``, as ``module:function``, takes the source's ``Connection`` and
    gives the ``sources.inbox.hook.Hook`` by which others deliver to it, or None where its connection names none. ``server``, as
    ``module:function``, takes the source's ``Connection``, the environment, ``source`` and ``url_env`` and gives the
    ``sources.server_access.ServerAccess`` by which the whole server is backed up; None where there is no such server. ``answers``, as
    ``module:name``, is the ``sources.answering.Answers`` of a kind that knows SQL, so that rules can be evaluated at the source."""

    name: str
    title: str
    connection: type[Connection]
    capabilities: Capabilities
    reading: str
    looking: str
    discover: str | None = None
    look_every_seconds: int = 60
    source_keys: type[SourceKeys] = SourceKeys
    table_keys: type[TableKeys] = TableKeys
    rewrite: str | None = None
    hook: str | None = None
    server: str | None = None
    answers: str | None = None
