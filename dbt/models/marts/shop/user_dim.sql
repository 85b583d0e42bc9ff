with ordered as (

    select
        user_id,
        count(*) as order_count,
        min(created_at) as first_order_at,
        max(created_at) as last_order_at
    from {{ ref('order_totals') }}
    where not is_cancelled
    group by user_id

),

activity as (

    select user_id, max(activity_date) as last_active_date
    from {{ ref('user_metrics_fact') }}
    group by user_id

),

newest as (

    -- The day that the data reach to, and not today: a source that stands still makes nobody inactive.
    -- Nor does a row dated in the future.
    select least(max(last_active_date), {{ utc_day(dbt.current_timestamp()) }}) as newest_date
    from activity

)

select
    users.user_id,
    users.email,
    {{ utc_day('users.created_at') }} as signup_date,
    users.country,
    coalesce(users.segment, 'unknown') as user_segment,
    coalesce(
        {{ days_between('activity.last_active_date', 'newest.newest_date') }} < {{ var('active_days') }}, false
    ) as is_active,
    users.phone,
    users.age,
    users.segment,
    users.marketing_opt_in,
    users.created_at as signed_up_at,
    {{ utc_day('users.created_at') }} as signed_up_date,
    coalesce(ordered.order_count, 0) as order_count,
    ordered.first_order_at,
    ordered.last_order_at,
    cast({{ days_between(utc_day('users.created_at'), utc_day('ordered.first_order_at')) }} as bigint)
        as days_to_first_order,
    activity.last_active_date
from {{ ref('stg_shop__users') }} as users
cross join newest
left join ordered on users.user_id = ordered.user_id
left join activity on users.user_id = activity.user_id
