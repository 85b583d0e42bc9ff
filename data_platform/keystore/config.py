"""What the YAML block of every kind of keystore says."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from data_platform.keystore.masters.environment import EnvironmentMasterConfig
from data_platform.keystore.masters.kinds import MasterConfig

DAYS_MAX = 7


class KeystoreBackups(BaseModel):
    """``{path: backups/keystore, keep_days: 7}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(
        description="The folder of the keystore's copies; a relative path starts at the project's folder. It must not lie in the"
        " folder of a store."
    )
    keep_days: int = Field(
        default=DAYS_MAX,
        ge=1,
        le=DAYS_MAX,
        description="Copies older than this many days are removed, at most 7: a key that was destroyed must not live on in them.",
    )


class KeystoreSettings(BaseModel):
    """The keys that all kinds of keystores share."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    master: MasterConfig = Field(
        default_factory=EnvironmentMasterConfig,
        description="The master key, which wraps all keys of the keystore.",
    )
    previous_master: MasterConfig | None = Field(
        default=None,
        description="The master key before, until `data-platform keystore rotate` has wrapped all keys under the present one.",
    )
    backups: KeystoreBackups | None = Field(
        default=None, description="Where copies of the keystore are kept."
    )
