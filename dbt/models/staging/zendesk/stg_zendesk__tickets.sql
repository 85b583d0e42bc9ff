-- Subject and description are redacted at the door and so left out here.
select
    ticket_id,
    requester_id,
    status,
    coalesce(status = 'deleted', false) as is_deleted,
    coalesce(status not in ('solved', 'closed', 'deleted'), false) as is_open,
    type,
    priority,
    {{ json_text('via', 'channel') }} as channel,
    {{ json_text('satisfaction_rating', 'score') }} as satisfaction,
    -- a shop that opens tickets for orders writes "order-" and the order's number here
    case when external_id like 'order-%' then substring(external_id, 7) end as order_reference,
    {{ utc_day('created_at') }} as created_date,
    created_at,
    updated_at,
    _loaded_at
from {{ landed('zendesk', 'tickets', {
    'ticket_id': ['id', 'bigint'],
    'requester_id': 'bigint',
    'status': 'varchar',
    'type': 'varchar',
    'priority': 'varchar',
    'via': 'varchar',
    'satisfaction_rating': 'varchar',
    'external_id': 'varchar',
    'created_at': 'timestamptz',
    'updated_at': 'timestamptz',
    '_loaded_at': 'timestamptz',
}) }} as tickets
