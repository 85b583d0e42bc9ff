"""What dlt finds around it: nothing but what the catalog's file gives it.

dlt looks for settings in environment variables, in ``.dlt`` folders of the project and of the user, and in vaults. Here it
has one provider of settings, which knows the values of one source; logs, which may hold rows, and telemetry are off.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar

from dlt.common.configuration.container import Container
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.specs import RuntimeConfiguration, configspec
from dlt.common.configuration.specs.base_configuration import ContainerInjectableContext
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.runtime.run_context import RunContext

_LOCK = threading.Lock()


@configspec
class GivenValues(ContainerInjectableContext):
    """The values of one source, for the thread that reads it and the threads that dlt makes for it."""

    values: Any = None

    can_create_default: ClassVar[bool] = False


class GivenProvider(ConfigProvider):
    """Answers with the values of the source that is read, by a field's whole path or by its name."""

    def get_value(
        self, key: str, hint: type[Any], pipeline_name: str | None, *sections: str
    ) -> tuple[Any, str]:
        name = ".".join((*sections, key))
        container = Container()
        if GivenValues not in container:
            return None, name
        values: Mapping[str, Any] = container[GivenValues].values
        return values.get(name), name

    @property
    def supports_secrets(self) -> bool:
        return True

    @property
    def supports_sections(self) -> bool:
        return True

    @property
    def name(self) -> str:
        return "catalog"


class Surroundings(RunContext):
    """In the place of dlt's own run context."""

    def initial_providers(self) -> list[ConfigProvider]:
        return [GivenProvider()]

    def initialize_runtime(self, runtime_config: RuntimeConfiguration | None = None) -> None:
        quiet = RuntimeConfiguration()
        quiet.dlthub_telemetry = False
        quiet.dlthub_telemetry_endpoint = None
        quiet.log_level = "CRITICAL"
        super().initialize_runtime(quiet)


def surround() -> None:
    """Put them in place, for the process. What dlt finds by itself is not looked at before."""
    with _LOCK:
        container = Container()
        present = PluggableRunContext in container and container[PluggableRunContext].context
        if not isinstance(present, Surroundings):
            container[PluggableRunContext] = PluggableRunContext(Surroundings(None))


@contextmanager
def injected(*contexts: ContainerInjectableContext) -> Iterator[None]:
    """``contexts`` for dlt's code that this thread calls meanwhile."""
    with ExitStack() as stack:
        for context in contexts:
            stack.enter_context(Container().injectable_context(context))
        yield
