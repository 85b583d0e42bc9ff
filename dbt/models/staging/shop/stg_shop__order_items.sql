select
    order_item_id,
    order_id,
    product_id,
    quantity,
    unit_price,
    {{ money('quantity * unit_price') }} as line_amount,
    created_at,
    updated_at,
    _loaded_at
from {{ source('shop', 'order_items') }}
