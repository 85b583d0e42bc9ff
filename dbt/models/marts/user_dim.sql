with ordered as (

    select
        user_id,
        count(*) as order_count,
        min(created_at) as first_order_at,
        max(created_at) as last_order_at
    from {{ ref('order_facts') }}
    where not is_cancelled
    group by user_id

)

select
    users.user_id,
    users.email,
    users.phone,
    users.age,
    users.country,
    users.segment,
    users.marketing_opt_in,
    users.created_at as signed_up_at,
    {{ utc_day('users.created_at') }} as signed_up_date,
    coalesce(ordered.order_count, 0) as order_count,
    ordered.first_order_at,
    ordered.last_order_at,
    cast({{ days_between(utc_day('users.created_at'), utc_day('ordered.first_order_at')) }} as bigint)
        as days_to_first_order
from {{ ref('stg_shop__users') }} as users
left join ordered on users.user_id = ordered.user_id
