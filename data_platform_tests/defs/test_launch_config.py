"""What whoever launches a run may choose: nothing that names a program, a path or the environment.

The UI has no login, so a launch is the reach of everybody who gets there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from data_platform.catalog import load_catalog
from data_platform.defs.build import build
from data_platform_tests.defs.conftest import REPOSITORY, copy_project
from data_platform_tests.repository import shop_alone

pytestmark = pytest.mark.slow

ALLOWED = (
    r"loggers\.console\.config\.(log_level|name): String",
    r"ops\.sync_\w+\.config\.(refresh|audit|reconcile): Bool",
    r"ops\.sync_\w+\.config\.slices\.\[\]: String",
    # none of them declares any configuration: what is given there is never read
    r"execution\.config: Any",
    r"ops\.(audit|backup|governance|observability|privacy|published|restore_drill)__\w+\.config: Any",
    # Dagster's own job of all assets takes unknown names, and reads none of them
    r"(ops|resources): Permissive",
)


def leaves(type_: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Every place of a run's configuration that takes a value, and of which type."""
    kind = type_.kind.name
    if kind == "PERMISSIVE_SHAPE":
        yield f"{'.'.join(path)}: Permissive"
    if fields := getattr(type_, "fields", None):
        for name, field in fields.items():
            yield from leaves(field.config_type, (*path, name))
    elif kind in ("ARRAY", "NONEABLE"):
        yield from leaves(type_.inner_type, (*path, "[]") if kind == "ARRAY" else path)
    elif kind not in ("STRICT_SHAPE", "PERMISSIVE_SHAPE"):
        yield f"{'.'.join(path)}: {type_.given_name or type_.key}"


@pytest.mark.parametrize("environment", ["local", "prod"])
def test_no_job_takes_a_program_a_path_or_an_environment(manifest: Path, environment: str) -> None:
    repository = build(shop_alone(), environment).get_repository_def()
    jobs = repository.get_all_jobs()
    assert {"everything", "backup", "shop_changes", "__ASSET_JOB"} <= {job.name for job in jobs}
    taken = {(job.name, leaf) for job in jobs for leaf in leaves(job.run_config_schema.config_type)}
    assert ("everything", "ops.sync_shop.config.refresh: Bool") in taken, "the schema is looked through"
    assert [one for one in sorted(taken) if not any(re.fullmatch(p, one[1]) for p in ALLOWED)] == []


def test_only_what_we_wrote_reads_an_ops_configuration(manifest: Path) -> None:
    """`Any` stands where no configuration is declared, so no code of ours may go and read it."""
    reading = {
        path.name for path in (REPOSITORY / "data_platform").rglob("*.py") if "op_config" in path.read_text()
    }
    assert reading <= {"raw.py"}


ATTACKS = {
    "dbt": {"resources": {"dbt": {"config": {
        "project_dir": "dbt", "profiles_dir": "dbt", "dbt_executable": "/bin/sh",
        "global_config_flags": ["-c", "touch {reached}"],
    }}}},
    "platform": {"resources": {"platform": {"config": {"root": "{elsewhere}", "environment": "local"}}}},
    "io_manager": {"resources": {"io_manager": {"config": {"base_dir": "{elsewhere}"}}}},
    "a secret": {"ops": {"sync_shop": {"config": {"slices": [{"env": "DATA_PLATFORM_HASH_KEY"}]}}}},
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_a_run_that_names_them_is_refused(tmp_path: Path, manifest: Path, name: str) -> None:
    root = copy_project(tmp_path / "project")
    job = build(load_catalog(root), "local").resolve_job_def("everything")
    with pytest.raises(dg.DagsterInvalidConfigError):
        job.execute_in_process(run_config=_filled(ATTACKS[name], tmp_path), raise_on_error=False)


def test_the_executor_imports_nothing_a_launch_names(manifest: Path) -> None:
    """In `prod` a step is a process, started by a server that imports what it is told to."""
    job = build(shop_alone(), "prod").resolve_job_def("everything")
    named = {"execution": {"config": {"start_method": {"forkserver": {"preload_modules": ["antigravity"]}}}}}
    from dagster._core.execution.api import create_execution_plan
    from dagster._core.system_config.objects import ResolvedRunConfig

    resolved = ResolvedRunConfig.build(job, named)
    assert "antigravity" not in str(resolved.execution.execution_engine_config)
    assert create_execution_plan(job, named).step_keys_to_execute


def _filled(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        return {key: _filled(one, folder) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, folder) for one in value]
    text = str(value)
    return text.replace("{reached}", str(folder / "reached")).replace("{elsewhere}", str(folder))
