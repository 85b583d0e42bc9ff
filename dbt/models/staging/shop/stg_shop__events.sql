select
    event_id,
    user_id,
    event_type,
    session_id,
    {{ json_text('properties', 'device') }} as device,
    properties,
    {{ utc_day('occurred_at') }} as occurred_date,
    occurred_at,
    _loaded_at
from {{ source('shop', 'events') }}
