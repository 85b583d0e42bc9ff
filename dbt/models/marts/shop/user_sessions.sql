-- A visit: the events of a user with at most 30 minutes from one to the next. spark/user_sessions.sql computes the same.
with steps as (

    select
        event_id,
        user_id,
        event_type,
        occurred_at,
        lag(occurred_at) over (partition by user_id order by occurred_at, event_id) as previous_at
    from {{ ref('stg_shop__events') }}
    where user_id is not null and occurred_at is not null

),

begun as (

    select
        *,
        case when {{ before('occurred_at', 30, 'minute') }} <= previous_at then 0 else 1 end as is_first
    from steps

),

numbered as (

    select
        *,
        sum(is_first) over (
            partition by user_id order by occurred_at, event_id rows between unbounded preceding and current row
        ) as visit
    from begun

)

select
    user_id,
    min(occurred_at) as started_at,
    max(occurred_at) as ended_at,
    count(*) as event_count,
    count(case when event_type = 'page_view' then 1 end) as page_view_count,
    count(case when event_type = 'purchase' then 1 end) as purchase_count
from numbered
group by user_id, visit
