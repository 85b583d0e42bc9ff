select
    order_id,
    count(case when is_paid then 1 end) as payment_count,
    count(case when is_refund then 1 end) as return_count,
    {{ money('sum(case when is_paid then amount else 0 end)') }} as paid_amount,
    {{ money('-sum(case when is_refund then amount else 0 end)') }} as returned_amount,
    min(case when is_paid then paid_at end) as first_paid_at
from {{ ref('stg_shop__payments') }}
group by order_id
