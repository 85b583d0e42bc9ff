select
    source_name,
    table_name,
    read_at,
    reconciled_at,
    lost_at
from {{ landed('data_platform', 'table_reads', {
    'source_name': ['source', 'varchar'],
    'table_name': ['table', 'varchar'],
    'read_at': 'timestamptz',
    'reconciled_at': 'timestamptz',
    'lost_at': 'timestamptz',
}) }} as reads
