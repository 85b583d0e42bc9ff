select
    order_id,
    user_id,
    status,
    coalesce(status = 'cancelled', false) as is_cancelled,
    order_date,
    {{ utc_day('created_at') }} as created_date,
    revenue,
    discount,
    currency,
    coupon_code,
    created_at,
    updated_at,
    _loaded_at
from {{ source('shop', 'orders') }}
