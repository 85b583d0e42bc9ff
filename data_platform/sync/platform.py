"""The platform opened for work: one catalog, one environment, its store, ledger and warehouse.

Opening connects to nothing; the source and the warehouse are opened by what uses them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from data_platform.audit.trail import Trail
from data_platform.catalog import Catalog, Environment, load_catalog, project_root
from data_platform.errors import ConfigurationError
from data_platform.keystore import Keystore
from data_platform.keystore.kinds import opened
from data_platform.landing.ledger import Ledger
from data_platform.landing.signing import Signer
from data_platform.privacy.purposes import Exportable
from data_platform.stores import Store
from data_platform.sync.auditing import open_trail
from data_platform.sync.configured import configured
from data_platform.tracing import Span, traces
from data_platform.warehouses import Warehouse

ENVIRONMENT_VARIABLE = "DATA_PLATFORM_ENV"
DEFAULT_ENVIRONMENT = "local"
MIN_HASH_KEY_LENGTH = 16


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Platform:
    catalog: Catalog
    environment: Environment
    environ: Mapping[str, str]
    store: Store
    ledger: Ledger
    clock: Callable[[], datetime] = utc_now
    rules_with_load: bool = False
    """Whether a load evaluates the table's rules and stores the results. The command line's does; a
    run of the graph evaluates them itself."""
    for_jobs: Callable[[], Mapping[str, str]] = dict
    """More variables for a process that a source starts; a run of the graph gives it a way to report by."""
    exportable: Callable[[Catalog], Exportable] = lambda _: Exportable()
    """What exports must know of the dbt project's models, which is found out above this package."""

    def warehouse(
        self, *, read_only: bool = False, landed: bool = False
    ) -> AbstractContextManager[Warehouse]:
        """The warehouse for one piece of work; it reaches no file but its own and, with ``landed``, those that
        the landing store gives."""
        files = [self.store.folder] if landed else []
        return self.environment.warehouse.open(self.catalog.root, read_only=read_only, files=files)

    @cached_property
    def trail(self) -> Trail:
        """The audit trail of this environment."""
        return open_trail(self)

    @property
    def traces(self) -> Span:
        """The root of what is traced."""
        return traces(self.environ)

    @property
    def signer(self) -> Signer:
        """Signs and verifies the manifests of this environment."""
        return self.ledger.signer

    def hash_key(self) -> bytes:
        """The secret under which personal values are hashed; ConfigurationError without one."""
        variable = self.catalog.privacy.hash_key_env
        key = self.environ.get(variable, "")
        if len(key) < MIN_HASH_KEY_LENGTH:
            state = "is not set" if not key else f"is shorter than {MIN_HASH_KEY_LENGTH} characters"
            raise ConfigurationError(
                f"The environment variable {variable} {state}; columns with the treatment `hash` need it."
                " Set it to a long random secret (`openssl rand -hex 32`), store it separately from the data and"
                " never change it: the same person must hash to the same value."
            )
        return key.encode()

    def keystore(self) -> Keystore:
        """The keys of sealed values, of which this platform has one connection; ConfigurationError where the environment names none,
        or a variable that it needs is not set."""
        return self._keystore

    @cached_property
    def _keystore(self) -> Keystore:
        config = self.environment.keystore
        if config is None:
            raise ConfigurationError(
                f"The environment {self.environment.name} has no `keystore`, and columns with the treatment `seal` need one. Add it"
                " to the environment in catalog/platform.yaml."
            )
        return opened(config, self.catalog.root, self.environ)


def open_platform(
    root: Path | None = None,
    environment: str | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    whole: bool = True,
    exportable: Callable[[Catalog], Exportable] = lambda _: Exportable(),
) -> Platform:
    """Read the catalog at ``root`` and choose ``environment`` (default: DATA_PLATFORM_ENV, or local).
    Without ``whole``, sources whose file has a mistake are left out. So is an optional source that is not
    configured."""
    environ = os.environ if environ is None else environ
    catalog = load_catalog(root or project_root(), whole=whole)
    name = environment or environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_ENVIRONMENT
    if name not in catalog.environments:
        raise ConfigurationError(
            f"The environment {name!r} is not in catalog/platform.yaml; it has"
            f" {', '.join(sorted(catalog.environments))}. Set {ENVIRONMENT_VARIABLE} to one of them."
        )
    chosen = catalog.environments[name]
    store = chosen.landing.open(catalog.root, environ)
    catalog = configured(catalog, environ, lambda: store)
    signer = Signer.of(chosen.signing, name, environ)
    ledger = Ledger(store, environ, signer)
    return Platform(catalog, chosen, environ, store, ledger, exportable=exportable)
