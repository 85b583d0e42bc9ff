"""The kind ``spark``: what the catalog may say of it, and where it is read and looked at."""

from __future__ import annotations

from data_platform.sources.kind import Kind
from data_platform.sources.spark.config import SparkConnection
from data_platform.sources.spark.keys import CAN, SparkTableKeys

KIND = Kind(
    "spark",
    "a Spark job",
    SparkConnection,
    CAN,
    reading="data_platform.sources.spark.reading:open_reading",
    looking="data_platform.sources.spark.looking:open_looking",
    table_keys=SparkTableKeys,
)
