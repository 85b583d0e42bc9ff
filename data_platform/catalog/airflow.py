"""An Airflow beside the platform: the block ``airflow`` of an environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from data_platform.yaml_fields import VARIABLE, Frozen, FrozenDict, Model

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,249}$"
"""Of DAGs and tasks, as Airflow allows them."""
AssetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", max_length=500)]


def _plain_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a URL such as https://airflow.company.example")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError(
            "must hold no user, password or query: name their variables in `user_env` and `password_env`"
        )
    return value.rstrip("/")


class AirflowDag(Model):
    tasks: Annotated[Mapping[Annotated[str, Field(pattern=NAME)], tuple[AssetName, ...]], Frozen] = Field(
        default_factory=FrozenDict,
        description="The assets that each task makes, by the task's id: `{load: [legacy/orders]}`. A name that this graph"
        " has already is made by the platform once the task is proxied; any other name becomes an asset that is observed.",
    )


class AirflowConfig(Model):
    url: Annotated[str, AfterValidator(_plain_url)] = Field(
        description="Where Airflow's webserver is, version 2.x, such as https://airflow.company.example."
    )
    user_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="Environment variable that holds the name of a user of Airflow.",
    )
    password_env: str | None = Field(
        default=None, pattern=VARIABLE, description="Environment variable that holds that user's password."
    )
    token_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="Environment variable that holds a token, sent as `Authorization: Bearer`, instead of both.",
    )
    dags: Annotated[Mapping[Annotated[str, Field(pattern=NAME)], AirflowDag], Frozen] = Field(
        default_factory=FrozenDict, description="The DAGs that are observed, by their ids."
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> AirflowConfig:
        pair = (self.user_env is not None, self.password_env is not None)
        if pair != (self.token_env is None,) * 2:
            raise ValueError("needs `user_env` and `password_env`, or `token_env` alone")
        return self

    def variables(self) -> tuple[str, ...]:
        return tuple(name for name in (self.user_env, self.password_env, self.token_env) if name is not None)
