"""What this company has: the YAML under ``catalog/`` as one frozen ``Catalog``, or every mistake at once.

    yaml_reader.py  text -> plain values and the line each stands on
    files.py        what each file may say (the JSON Schemas come from it)
    models.py       the resolved objects the rest of the platform reads, with environment.py, source.py, table.py
    mistakes.py     what is wrong in words: file, line, path, what to do
    checks.py       what a schema cannot say: keys, personal columns, rules, cron
    reads.py        tables computed from others, blocks in files of their own
    load.py         the folder -> Catalog
    schema.py       the published JSON Schemas

Offline: nothing here connects to anything or reads a secret.
"""

from data_platform.catalog.environment import Environment, Privacy
from data_platform.catalog.load import load_catalog, project_root
from data_platform.catalog.models import Catalog
from data_platform.catalog.reads import catalog_files
from data_platform.catalog.schema import json_schemas
from data_platform.catalog.source import Source
from data_platform.catalog.table import Table

__all__ = [
    "Catalog",
    "Environment",
    "Privacy",
    "Source",
    "Table",
    "catalog_files",
    "json_schemas",
    "load_catalog",
    "project_root",
]
