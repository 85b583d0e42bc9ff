select
    payment_id,
    order_id,
    user_id,
    amount,
    method,
    status,
    coalesce(status <> 'failed' and amount < 0, false) as is_refund,
    coalesce(status <> 'failed' and amount >= 0, false) as is_paid,
    {{ utc_day('created_at') }} as created_date,
    paid_at,
    created_at,
    updated_at,
    _loaded_at
from {{ source('shop', 'payments') }}
