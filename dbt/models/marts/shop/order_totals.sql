with orders as (

    select
        *,
        -- cancelled orders stand outside the count: they sort into a group of their own
        row_number() over (partition by user_id, is_cancelled order by created_at, order_id) as order_number
    from {{ ref('stg_shop__orders') }}

)

select
    orders.order_id,
    orders.user_id,
    orders.status,
    orders.is_cancelled,
    orders.order_date,
    orders.created_date,
    orders.created_at,
    orders.currency,
    orders.coupon_code,
    case when not orders.is_cancelled then orders.order_number end as user_order_number,
    coalesce(items.line_count, 0) as line_count,
    coalesce(items.unit_count, 0) as unit_count,
    {{ money('coalesce(items.items_amount, 0)') }} as items_amount,
    {{ money('coalesce(orders.discount, 0)') }} as discount_amount,
    {{ money('case when orders.is_cancelled then 0 else coalesce(orders.revenue, 0) end') }} as gross_revenue,
    {{ money('case when orders.is_cancelled then 0 else coalesce(payments.returned_amount, 0) end') }}
        as refunded_amount,
    {{ money('case when orders.is_cancelled then 0
                   else coalesce(orders.revenue, 0) - coalesce(payments.returned_amount, 0) end') }} as net_revenue,
    {{ money('coalesce(items.cost_amount, 0)') }} as cost_amount,
    {{ money('coalesce(payments.paid_amount, 0)') }} as paid_amount,
    {{ money('coalesce(payments.returned_amount, 0)') }} as returned_amount,
    payments.first_paid_at
from orders
left join {{ ref('int_shop__order_items_summed') }} as items on orders.order_id = items.order_id
left join {{ ref('int_shop__payments_summed') }} as payments on orders.order_id = payments.order_id
