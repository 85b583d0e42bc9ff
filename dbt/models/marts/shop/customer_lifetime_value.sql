with orders as (

    select
        user_id,
        count(case when not is_cancelled then 1 end) as order_count,
        count(case when is_cancelled then 1 end) as cancelled_order_count,
        sum(gross_revenue) as gross_revenue,
        sum(refunded_amount) as refunded_amount,
        min(case when not is_cancelled then created_date end) as first_order_date,
        max(case when not is_cancelled then created_date end) as last_order_date
    from {{ ref('order_totals') }}
    group by user_id

),

activity as (

    select user_id, count(*) as days_active, max(activity_date) as last_active_date
    from {{ ref('user_metrics_fact') }}
    group by user_id

),

customers as (

    select
        users.user_id,
        {{ money('coalesce(orders.gross_revenue, 0)') }} as total_revenue,
        coalesce(orders.order_count, 0) as order_count,
        coalesce(orders.cancelled_order_count, 0) as cancelled_order_count,
        {{ money('coalesce(orders.gross_revenue, 0)') }} as gross_revenue,
        {{ money('coalesce(orders.refunded_amount, 0)') }} as refunded_amount,
        {{ money('coalesce(orders.gross_revenue - orders.refunded_amount, 0)') }} as net_revenue,
        {{ money_per('orders.gross_revenue', 'orders.order_count') }} as average_order_value,
        orders.first_order_date,
        orders.last_order_date,
        coalesce(activity.days_active, 0) as days_active,
        activity.last_active_date
    from {{ ref('stg_shop__users') }} as users
    left join orders on users.user_id = orders.user_id
    left join activity on users.user_id = activity.user_id

),

ranked as (

    -- users without an order rank among themselves, so that they do not push buyers up
    select
        *,
        percent_rank() over (partition by order_count > 0 order by net_revenue desc) as share_above
    from customers

)

select
    user_id,
    total_revenue,
    order_count,
    cancelled_order_count,
    gross_revenue,
    refunded_amount,
    net_revenue,
    average_order_value,
    first_order_date,
    last_order_date,
    days_active,
    last_active_date,
    case
        when order_count = 0 then 'none'
        when share_above < 0.1 then 'high'
        when share_above < 0.5 then 'medium'
        else 'low'
    end as value_segment
from ranked
