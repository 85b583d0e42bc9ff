select
    tickets.ticket_id,
    matched.user_id,
    matched.order_id,
    tickets.status,
    tickets.is_open,
    tickets.is_deleted,
    tickets.priority,
    tickets.channel,
    case when tickets.satisfaction in ('good', 'bad') then tickets.satisfaction end as satisfaction,
    coalesce(metrics.reply_count, 0) as reply_count,
    coalesce(metrics.reopen_count, 0) as reopen_count,
    metrics.first_reply_minutes,
    metrics.first_resolution_minutes,
    metrics.full_resolution_minutes,
    tickets.created_date,
    tickets.created_at,
    metrics.solved_at,
    tickets.updated_at
from {{ ref('stg_zendesk__tickets') }} as tickets
inner join {{ ref('int_zendesk__tickets_matched') }} as matched on tickets.ticket_id = matched.ticket_id
left join {{ ref('stg_zendesk__metric_sets') }} as metrics on tickets.ticket_id = metrics.ticket_id
