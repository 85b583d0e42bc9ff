"""Queries everything that the platform depends on; ``verdicts.py`` evaluates the answers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from data_platform.backups.config import PRIMARY
from data_platform.catalog import Catalog, Environment, Source
from data_platform.doctor import verdicts
from data_platform.doctor.databases import look_at_databases
from data_platform.doctor.keystore import look_at_keystore
from data_platform.doctor.modes import look_at_modes
from data_platform.doctor.placement import look_at_placement
from data_platform.doctor.publication import look_at_publication
from data_platform.doctor.verdicts import Variable
from data_platform.errors import CatalogError, DataPlatformError, WarehouseBusy
from data_platform.findings import Finding, clock, failed
from data_platform.landing.signing import SigningConfig
from data_platform.stores import Store, StoreConfig
from data_platform.sync import Platform, open_platform
from data_platform.sync.sources import looking_at
from data_platform.warehouses.archive import INSTEAD, no_archive
from data_platform.words import plural

PROBE_FOLDER = "_doctor"
"""Not the folder of a table: those start with the name of a source, which starts with a letter."""
HEARTBEAT_SECONDS_MAX = 120


def examine(root: Path, environment: str | None, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Every finding, as soon as it is made. If the catalog is invalid, checks that need it are
    left out."""
    try:
        platform = open_platform(root, environment, environ, whole=False)
    except CatalogError as error:
        yield Finding(
            "catalog", "fail", str(error), "Correct these lines; `data-platform validate` checks them."
        )
        return
    except DataPlatformError as error:
        yield failed("catalog", error)
        return
    if platform.catalog.left_out:
        yield Finding(
            "source files",
            "fail",
            "\n".join(platform.catalog.left_out),
            "Correct these lines: until then, their sources are left out. `data-platform validate` checks them.",
        )
    catalog, running = platform.catalog, platform.environment.automation == "running"
    yield Finding(
        "catalog",
        "ok",
        f"{plural(len(catalog.sources), 'source')} and {plural(len(catalog.table_ids()), 'table')}; the environment is"
        f" {platform.environment.name}.",
    )
    if catalog.questions:
        yield verdicts.guesses(len(catalog.questions))
    if catalog.not_configured:
        yield Finding("not configured", "ok", "\n".join(catalog.absences()))
    yield from verdicts.variables(named_variables(catalog, platform.environment, environ), environ)
    yield hash_key(platform)
    yield ledger_key(platform)
    yield from look_at_keystore(platform)
    for source in catalog.sources.values():
        yield from look_at_source(platform, source)
    for name, config in stores(platform).items():
        root = catalog.root
        yield from look_at_store(name, partial(config.open, root, environ), config.files(root))
    yield from look_at_warehouse(platform)
    if platform.environment.publish is not None:
        yield look_at_publication(platform)
    warehouse = platform.environment.warehouse
    if platform.environment.backups is not None and not warehouse.traits.archive:
        yield Finding("backups", "warn", no_archive(warehouse), INSTEAD)
    yield from look_at_databases(platform)
    yield look_at_modes(platform, environ)
    yield from look_at_dagster(environ, running)


def stores(platform: Platform) -> dict[str, StoreConfig]:
    """Every store that is checked, by its name in the findings."""
    environment = platform.environment
    backups = environment.backups
    copies = (
        {"backup store" if name == PRIMARY else name: store for name, store in backups.stores.items()}
        if backups
        else {}
    )
    return {"landing store": environment.landing, **copies}


def named_variables(catalog: Catalog, environment: Environment, environ: Mapping[str, str]) -> list[Variable]:
    """Every key of the YAML that ends in ``_env``, except the hash key, which has its own check."""
    found = list(_named(environment, f"environments.{environment.name}"))
    for source in catalog.sources.values():
        for key, needed in source.connection.variables(environ).items():
            where = f"connection of {source.name}.{key}"
            found.append(Variable(source.connection.variable(key), where, needed))
    return found


def _named(model: BaseModel, where: str) -> Iterator[Variable]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if name.endswith("_env") and isinstance(value, str):
            yield Variable(value, f"{where}.{name}", not isinstance(field.default, str))
        elif isinstance(value, BaseModel) and not isinstance(value, SigningConfig):  # has its own check
            yield from _named(value, f"{where}.{name}")
        elif isinstance(value, Mapping):
            for key, inner in value.items():
                if isinstance(inner, BaseModel):
                    yield from _named(inner, f"{where}.{name}.{key}")
        elif isinstance(value, tuple):
            for number, inner in enumerate(value):
                if isinstance(inner, BaseModel):
                    yield from _named(inner, f"{where}.{name}[{number}]")


def hash_key(platform: Platform) -> Finding:
    hashed = sum(
        treatment == "hash"
        for source in platform.catalog.sources.values()
        for table in source.tables.values()
        for treatment in table.personal.values()
    )
    try:
        if hashed:
            platform.hash_key()
    except DataPlatformError as error:
        return failed("hash key", error)
    return verdicts.hash_key(hashed)


def ledger_key(platform: Platform) -> Finding:
    try:
        platform.signer.ready()
    except DataPlatformError as error:
        return failed("ledger key", error)
    return Finding(
        "ledger key",
        "ok",
        f"Manifests are signed with the key in {platform.signer.variable}."
        if platform.signer.signs
        else "Manifests are not signed, and this environment does not require it.",
    )


def look_at_source(platform: Platform, source: Source) -> Iterator[Finding]:
    """The findings of the source's kind, under the conditions of a sync."""
    head = f"source {source.name}"
    try:
        with looking_at(platform, source) as (looking, accept):
            yield from looking.findings(head, accept, platform.clock)
    except DataPlatformError as error:
        yield failed(head, error)


def look_at_store(
    name: str, opened: Callable[[], Store], folders: Collection[Path] = ()
) -> Iterator[Finding]:
    """Checks the disks of the store's ``folders`` on this machine. Then writes one object twice, reads it back,
    compares the store's clock with ours if the store reports a time, and removes the object. A store that locks its objects
    is only listed: nobody could remove the probe."""
    key = f"{PROBE_FOLDER}/{uuid.uuid4().hex}"
    first_bytes, second_bytes = b"the first of two writes", b"the second, which must be refused"
    try:
        store = opened()
        for folder in folders:
            yield _disk(f"{name}: disk", folder)
        if store.locks is not None:
            store.list(PROBE_FOLDER, limit=1)
            yield Finding(name, "ok", f"{store.url} answers, and locks its objects.")
            return
        try:
            before = datetime.now(UTC)
            first = store.put_new(key, first_bytes)
            after = datetime.now(UTC)
            second = store.put_new(key, second_bytes)
            read_back = store.read(key) == first_bytes
            yield verdicts.conditional_write(name, store.url, first, second, read_back)
            written = store.written_at(key)
            if written is not None:
                yield clock(f"{name}: clock", before, written, after)
        finally:
            store.delete(key)
    except DataPlatformError as error:
        yield failed(name, error)


def look_at_warehouse(platform: Platform) -> Iterator[Finding]:
    config, root = platform.environment.warehouse, platform.catalog.root
    if config.exists(root):
        try:
            with platform.warehouse(read_only=True) as warehouse:
                loaded = [one.table for one in warehouse.loaded_all()]
                placed = look_at_placement(platform.catalog, config, warehouse, loaded)
            yield Finding("warehouse", "ok", f"{config.place(root)} opens; {len(loaded)} tables are loaded.")
            yield from placed
        except WarehouseBusy as error:
            yield Finding("warehouse", "warn", str(error))
        except DataPlatformError as error:
            yield failed("warehouse", error)
    else:
        yield Finding(
            "warehouse", "ok", f"{config.place(root)} does not exist yet; the first sync creates it."
        )
    folders = list(dict.fromkeys(file.parent for file in config.files(root)))
    for folder in folders:
        yield _disk("warehouse: disk", folder)
    publish = platform.environment.publish
    if publish is not None and (root / publish.path).parent not in folders:
        yield _disk("publication: disk", (root / publish.path).parent)


def _disk(check: str, path: Path) -> Finding:
    """The free space of the file system that ``path`` is on, or will be on."""
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    if not os.access(there, os.W_OK):
        return Finding(
            check,
            "fail",
            f"The user who runs this command has no permission to write to {there}.",
            f"Make that user its owner (`chown`), or create {path} with that user as its owner.",
        )
    return verdicts.disk(check, str(path), shutil.disk_usage(there).free)


def look_at_dagster(environ: Mapping[str, str], running: bool) -> Iterator[Finding]:
    home = environ.get("DAGSTER_HOME", "")
    folder = Path(home)
    problem = verdicts.dagster_home(home, folder.is_dir(), (folder / "dagster.yaml").is_file(), running)
    if problem is not None:
        yield problem
        return
    told = heartbeat(environ)
    if told["error"]:
        yield Finding(
            "Dagster",
            "fail",
            f"Its records, which {folder / 'dagster.yaml'} configures, cannot be read: {told['error']}.",
            "Check that the database is up and that the variables of `storage` are set correctly.",
        )
        return
    yield verdicts.records(told["storage"], told["bytes"])
    heartbeats = {
        one["daemon"]: datetime.fromtimestamp(one["last_heartbeat"], UTC) if one["last_heartbeat"] else None
        for one in told["daemons"]
    }
    yield verdicts.daemon(heartbeats, datetime.now(UTC), running)


def heartbeat(environ: Mapping[str, str]) -> dict[str, Any]:
    """The output of ``data_platform.defs.heartbeat``, which runs as a process because nothing here imports Dagster."""
    command = [sys.executable, "-W", "ignore", "-m", "data_platform.defs.heartbeat"]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            timeout=HEARTBEAT_SECONDS_MAX,
            check=False,
        )
        told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {"error": f"there was no answer within {HEARTBEAT_SECONDS_MAX} s"}
    except (IndexError, ValueError):
        return {"error": f"`python -m data_platform.defs.heartbeat` ended with {done.returncode}"}
    return told
