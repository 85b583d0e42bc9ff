"""Rows in types that Iceberg has: every value stays what it is, in a type that holds all values of the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def iceberg_schema(schema: pa.Schema) -> pa.Schema:
    """The types as Iceberg's: small integers wider, text and bytes of any length, times in microseconds."""
    import pyarrow as pa

    return pa.schema([pa.field(field.name, _type(field.type), nullable=True) for field in schema])


def as_iceberg(rows: pa.RecordBatchReader) -> pa.RecordBatchReader:
    import pyarrow as pa

    wanted = iceberg_schema(rows.schema)
    return pa.RecordBatchReader.from_batches(wanted, (_cast(batch, wanted) for batch in rows))


def _cast(batch: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    columns = [
        column.cast(field.type, safe=True) for column, field in zip(batch.columns, wanted, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=wanted)


def _type(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa
    from pyarrow import types

    if kind == pa.uuid():
        return kind
    if isinstance(kind, pa.BaseExtensionType):
        return _type(kind.storage_type)
    if types.is_dictionary(kind):
        return _type(kind.value_type)
    if types.is_list(kind) or types.is_large_list(kind):
        return pa.list_(pa.field("element", _type(kind.value_type), nullable=True))
    if types.is_uint64(kind):
        return pa.decimal128(20, 0)
    if types.is_uint32(kind):
        return pa.int64()
    if types.is_integer(kind) and kind.bit_width < 32:
        return pa.int32()
    if types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if types.is_time(kind):
        return pa.time64("us")
    if types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_large_binary(kind) or types.is_binary_view(kind) or types.is_fixed_size_binary(kind):
        return pa.binary()
    return kind
