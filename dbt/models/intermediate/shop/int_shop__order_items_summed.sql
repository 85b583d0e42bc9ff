select
    items.order_id,
    count(*) as line_count,
    cast(sum(items.quantity) as bigint) as unit_count,
    {{ money('sum(items.line_amount)') }} as items_amount,
    sum({{ money('items.quantity * products.cost') }}) as cost_amount
from {{ ref('stg_shop__order_items') }} as items
left join {{ ref('stg_shop__products') }} as products on items.product_id = products.product_id
group by items.order_id
