select
    product_id,
    sku,
    product_name,
    category,
    price,
    cost,
    is_active,
    created_at,
    updated_at,
    _loaded_at
from {{ source('shop', 'products') }}
