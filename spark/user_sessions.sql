-- The same visits as dbt/models/marts/shop/user_sessions.sql computes in the warehouse.
with steps as (

    select
        event_id,
        user_id,
        event_type,
        occurred_at,
        lag(occurred_at) over (partition by user_id order by occurred_at, event_id) as previous_at
    from events
    where user_id is not null and occurred_at is not null

),

numbered as (

    select
        *,
        sum(case when occurred_at - interval 30 minutes <= previous_at then 0 else 1 end)
            over (partition by user_id order by occurred_at, event_id rows between unbounded preceding and current row)
            as visit
    from steps

)

select
    user_id,
    min(occurred_at) as started_at,
    max(occurred_at) as ended_at,
    count(*) as event_count,
    count_if(event_type = 'page_view') as page_view_count,
    count_if(event_type = 'purchase') as purchase_count
from numbered
group by user_id, visit
