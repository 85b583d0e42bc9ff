select
    payments.payment_id,
    payments.order_id,
    payments.created_date as refund_date,
    -payments.amount as refunded_amount,
    orders.created_date as order_created_date,
    coalesce(not orders.is_cancelled, false) as reduces_revenue
from {{ ref('stg_shop__payments') }} as payments
left join {{ ref('stg_shop__orders') }} as orders on payments.order_id = orders.order_id
where payments.is_refund
