"""Checks of the keystore: it is there where something is sealed, and lies apart from every store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os.path import normpath
from pathlib import Path as ProjectPath

from data_platform.catalog.environment import EnvironmentSettings
from data_platform.catalog.mistakes import Report
from data_platform.catalog.source import Source
from data_platform.catalog.yaml_reader import Path
from data_platform.keystore.kinds import KeystoreConfig
from data_platform.stores import StoreConfig

_ROOT = ProjectPath("/")


def check_keystore(config: KeystoreConfig, stores: Sequence[StoreConfig], report: Report, base: Path) -> None:
    """Report a keystore, or copies of it, in the folder of a store: what is kept there for years would keep destroyed keys."""
    places = [((*base, "path"), file) for file in config.files(_ROOT)]
    if config.backups is not None:
        places.append(((*base, "backups", "path"), _ROOT / config.backups.path))
    for path, place in places:
        mine = ProjectPath(normpath(place))
        for folder in (ProjectPath(normpath(folder)) for store in stores for folder in store.files(_ROOT)):
            if mine.is_relative_to(folder) or folder.is_relative_to(mine):
                report.add(
                    path,
                    f"lies in {folder.name}, the folder of a store, or holds it: a destroyed key must not live on in copies of a"
                    " store. Name a place elsewhere",
                )


def check_sealed(
    environments: Mapping[str, EnvironmentSettings], sources: Mapping[str, Source], report: Report
) -> None:
    """Report each environment without a keystore, where a table seals."""
    sealed = next(
        (table.id for source in sources.values() for table in source.tables.values() if table.seals), None
    )
    for name, environment in environments.items():
        if sealed is not None and environment.keystore is None:
            report.add(
                ("environments", name, "keystore"),
                f"is missing. {sealed} has columns with the treatment `seal`, whose keys are kept in a keystore: add it, such as"
                " keystore: {kind: sqlite, path: keys/keystore.sqlite}",
            )
