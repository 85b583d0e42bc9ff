"""Every kind of master key: one line a kind."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from data_platform.keystore.masters.aws_kms import AwsKmsMasterConfig
from data_platform.keystore.masters.environment import EnvironmentMasterConfig
from data_platform.keystore.masters.gcp_kms import GcpKmsMasterConfig

MasterConfig = Annotated[
    EnvironmentMasterConfig | AwsKmsMasterConfig | GcpKmsMasterConfig, Field(discriminator="kind")
]
"""Join the next kind with `|`; its `kind` tells them apart."""
