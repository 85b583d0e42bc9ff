select
    ticket_id,
    reopens as reopen_count,
    replies as reply_count,
    cast({{ json_text('reply_time_in_minutes', 'calendar') }} as bigint) as first_reply_minutes,
    cast({{ json_text('first_resolution_time_in_minutes', 'calendar') }} as bigint) as first_resolution_minutes,
    cast({{ json_text('full_resolution_time_in_minutes', 'calendar') }} as bigint) as full_resolution_minutes,
    solved_at,
    _loaded_at
from {{ landed('zendesk', 'metric_sets', {
    'ticket_id': 'bigint',
    'reopens': 'bigint',
    'replies': 'bigint',
    'reply_time_in_minutes': 'varchar',
    'first_resolution_time_in_minutes': 'varchar',
    'full_resolution_time_in_minutes': 'varchar',
    'solved_at': 'timestamptz',
    '_loaded_at': 'timestamptz',
}) }} as metric_sets
