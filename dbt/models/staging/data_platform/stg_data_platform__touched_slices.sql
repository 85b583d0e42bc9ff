select
    source as source_name,
    {{ raw_name('table') }} as table_name,
    slice,
    case when slice not in ('null', 'all') then cast(slice as date) end as slice_date,
    sequence as batch_sequence,
    {{ raw_name('rows') }} as row_count,
    loaded_at
from {{ source('data_platform', 'touched_slices') }}
