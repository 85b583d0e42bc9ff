"""Every secret that a restore needs: which variables are set, and whether they work. Never their values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from data_platform.backups import probes, reencrypt
from data_platform.backups.archive import Archive
from data_platform.errors import ConfigurationError, DataPlatformError
from data_platform.landing.redaction import KEY_VARIABLE, redaction_key
from data_platform.stores import Store
from data_platform.sync.backup import archives, settings
from data_platform.sync.graph_storage import graph_storage
from data_platform.sync.platform import Platform
from data_platform.sync.secrets import HASH, REDACTION
from data_platform.sync.sources import looking_at

State = Literal["works", "set", "missing", "fails", "not needed"]
"""``set`` is for what nothing can prove yet."""


@dataclass(frozen=True, slots=True)
class Secret:
    """One thing that a restore needs: the variables, by name, with whether they are set; what was tried with them."""

    name: str
    variables: Mapping[str, bool]
    state: State
    detail: str

    @property
    def good(self) -> bool:
        return self.state in ("works", "set", "not needed")


def checklist(platform: Platform) -> list[Secret]:
    """Look at everything, and go on after what fails. ConfigurationError without backups."""
    everywhere = archives(platform)
    return [
        *_stores(platform),
        _identities(platform, everywhere),
        *_previous(platform, everywhere),
        _signing(platform, everywhere),
        _kept(platform, everywhere, HASH, platform.catalog.privacy.hash_key_env, platform.hash_key),
        _kept(platform, everywhere, REDACTION, KEY_VARIABLE, lambda: redaction_key(platform.environ)),
        *_keystore(platform),
        *_sources(platform),
        *_warehouse(platform),
        *_graph(platform),
    ]


def _stores(platform: Platform) -> Iterator[Secret]:
    opened: list[tuple[str, Any, Callable[[], Store]]] = [
        ("landing store", platform.environment.landing, lambda: platform.store)
    ]
    for name, kind in settings(platform).stores.items():
        opened.append((f"archive {name}", kind, partial(kind.open, platform.catalog.root, platform.environ)))
    for name, kind, open_ in opened:
        variables = _variables(platform, kind)

        def listed(open_: Callable[[], Store] = open_) -> str:
            store = open_()
            keys = store.list("", limit=1)
            if keys:
                store.size(keys[0])
            return f"{store.url} answers" + ("" if keys else ", and is empty")

        yield _tried(name, variables, listed)


def _identities(platform: Platform, everywhere: list[Archive]) -> Secret:
    encryption = settings(platform).encryption
    if encryption is None:
        return Secret("identities", {}, "not needed", "Backups are not encrypted.")
    keys = encryption.keys(platform.environ)

    def opened() -> str:
        ids = {one.name: one.ids() for one in everywhere}
        for one in everywhere:
            for id_ in ids[one.name][:1] + ids[one.name][-1:]:
                one.manifest(id_)
        if any(ids.values()):
            return "The oldest and the newest backup of every archive can be opened."
        keys.opened(keys.encrypted(b"probe"), "A probe")
        return "There is no backup yet; what is encrypted now can be opened."

    return _tried("identities", _set(platform, keys.variables), opened)


def _previous(platform: Platform, everywhere: list[Archive]) -> Iterator[Secret]:
    """Whether the identities from before are still needed; nothing where none are named."""
    encryption = settings(platform).encryption
    if encryption is None or encryption.previous_identities_env is None:
        return
    name, variables = "previous identities", _set(platform, (encryption.previous_identities_env,))
    try:
        found = {one.name: reencrypt.state(one) for one in everywhere}
    except DataPlatformError as error:
        yield Secret(name, variables, "fails", str(error))
        return
    needing = [
        f"{known.left} objects in {archive}, such as {known.named[0]}"
        for archive, known in found.items()
        if known and known.left
    ]
    if all(known and not known.left for known in found.values()):
        at = min(known.at for known in found.values() if known)
        words = f"Nothing needed them on {at:%Y-%m-%d}, so `previous_identities_env` and the variable can go."
        yield Secret(name, variables, "not needed", words)
        return
    words = (
        f"They are still needed by {'; '.join(needing)}."
        if needing
        else "Older backups may need them: `data-platform backup reencrypt --yes` encrypts these for today's recipients."
    )
    yield Secret(name, variables, "set" if all(variables.values()) else "missing", words)


def _signing(platform: Platform, everywhere: list[Archive]) -> Secret:
    signer = platform.signer
    variables = _set(platform, (signer.variable,))

    def verified() -> str:
        signer.ready()
        count = sum(bool(one.manifest(id_).signature) for one in everywhere for id_ in one.ids()[-1:])
        return f"The signatures of {count} backups were verified." if count else "No backup is signed yet."

    if not signer.signs and not signer.problem:
        return Secret("signing key", variables, "not needed", "Nothing is signed in this environment.")
    return _tried("signing key", variables, verified)


def _kept(
    platform: Platform, everywhere: list[Archive], name: str, variable: str, read: Callable[[], bytes]
) -> Secret:
    variables = _set(platform, (variable,))
    try:
        known = {
            one.name: probes.matches(one, name, platform.environ.get(variable, "").encode())
            for one in everywhere
        }
    except DataPlatformError as error:
        return Secret(name, variables, "fails", f"The archives cannot be asked: {error}")
    if all(one is None for one in known.values()) and not variables[variable]:
        return Secret(name, variables, "not needed", "No backup was made under one.")
    try:
        read()
    except DataPlatformError as error:
        return Secret(name, variables, "fails" if variables[variable] else "missing", str(error))
    if wrong := [archive for archive, same in known.items() if same is False]:
        return Secret(
            name,
            variables,
            "fails",
            f"It is not the one that the backups in {', '.join(wrong)} were made under.",
        )
    if any(known.values()):
        return Secret(name, variables, "works", "It is the one that the backups were made under.")
    return Secret(name, variables, "set", "No backup knows it yet; the next one will.")


def _keystore(platform: Platform) -> Iterator[Secret]:
    """No backup holds the keys of sealed values: they are in the keystore and its own copies."""
    config = platform.environment.keystore
    if config is None:
        return

    def opened() -> str:
        found = platform.keystore().status()
        return f"{found.place} opens under {found.master}. No backup holds its keys: keep its own copies."

    yield _tried("keystore and master key", _variables(platform, config), opened)


def _sources(platform: Platform) -> Iterator[Secret]:
    for source in platform.catalog.sources.values():

        def connected(source: Any = source) -> str:
            with looking_at(platform, source) as (looking, _):
                looking.snapshot()
            return "It answers."

        yield _tried(f"source {source.name}", _variables(platform, source.connection), connected)


def _warehouse(platform: Platform) -> Iterator[Secret]:
    config = platform.environment.warehouse
    variables = _variables(platform, config)
    if not variables and config.traits.in_files:
        return

    def opened() -> str:
        with platform.warehouse(read_only=True):
            return "It can be opened."

    yield _tried("warehouse", variables, opened)


def _graph(platform: Platform) -> Iterator[Secret]:
    """Dagster's own storage, where it is a database."""
    name = "Dagster's storage"
    try:
        storage = graph_storage(platform)
    except ConfigurationError as error:
        yield Secret(name, {}, "fails", str(error))
        return
    if storage is not None:
        yield _tried(name, _set(platform, storage.variables), partial(storage.answers, platform.environ))


def _tried(name: str, variables: Mapping[str, bool], attempt: Callable[[], str]) -> Secret:
    try:
        return Secret(name, variables, "works", attempt())
    except DataPlatformError as error:
        state: State = "missing" if not all(variables.values()) else "fails"
        return Secret(name, variables, state, str(error))


def _variables(platform: Platform, config: Any) -> dict[str, bool]:
    """The variables that ``config`` names, at any depth."""
    dumped = config.model_dump() if hasattr(config, "model_dump") else config
    return _set(platform, tuple(dict.fromkeys(_named(dumped))))


def _named(values: Any) -> Iterator[str]:
    if isinstance(values, Mapping):
        for key, value in values.items():
            if str(key).endswith("_env") and isinstance(value, str):
                yield value
            else:
                yield from _named(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _named(value)


def _set(platform: Platform, names: tuple[str, ...]) -> dict[str, bool]:
    return {name: bool(platform.environ.get(name, "").strip()) for name in names}
