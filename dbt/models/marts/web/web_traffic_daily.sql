select
    traffic_date as date,
    channel,
    source,
    medium,
    campaign,
    session_count,
    engaged_session_count,
    user_count,
    new_user_count,
    page_view_count,
    key_event_count,
    revenue,
    currency,
    is_partial,
    is_incomplete
from {{ ref('stg_web__traffic') }}
