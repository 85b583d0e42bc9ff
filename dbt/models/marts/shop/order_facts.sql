with lines as (

    -- An order without lines has one row all the same, number 0, for what it is worth.
    select
        orders.order_id,
        orders.user_id,
        orders.order_date,
        orders.created_date,
        orders.created_at,
        orders.status,
        orders.is_cancelled,
        orders.currency,
        orders.discount_amount as order_discount,
        orders.refunded_amount as order_refund,
        case
            when orders.is_cancelled then 0
            else orders.gross_revenue - (orders.items_amount - orders.discount_amount)
        end as order_adjustment,
        items.order_item_id,
        items.product_id,
        case when items.order_item_id is null then 0 else items.quantity end as quantity,
        case
            when items.order_item_id is null then 0
            else row_number() over (partition by orders.order_id order by items.order_item_id)
        end as line_number,
        {{ money('coalesce(items.line_amount, 0)') }} as line_amount,
        {{ money('coalesce(items.quantity * products.cost, 0)') }} as cost_amount
    from {{ ref('order_totals') }} as orders
    left join {{ ref('stg_shop__order_items') }} as items on orders.order_id = items.order_id
    left join {{ ref('stg_shop__products') }} as products on items.product_id = products.product_id

),

weighed as (

    -- Lines that all cost nothing weigh the same.
    select
        *,
        case
            when sum(greatest(line_amount, 0)) over (partition by order_id) > 0
                then {{ cents('greatest(line_amount, 0)') }}
            else 1
        end as weight
    from lines

),

shared as (

    select
        *,
        {{ share('order_discount', 'weight') }} as discount_amount,
        {{ share('order_adjustment', 'weight') }} as adjustment_amount
    from weighed

),

sold as (

    select
        *,
        {{ money('case when is_cancelled then 0 else line_amount - discount_amount + adjustment_amount end') }}
            as revenue
    from shared

),

refundable as (

    -- By revenue and not by price, so that an order that is paid back in full keeps no cent on any line.
    select
        *,
        case
            when sum(greatest(revenue, 0)) over (partition by order_id) > 0
                then {{ cents('greatest(revenue, 0)') }}
            else weight
        end as refund_weight
    from sold

),

refunded as (

    select *, {{ share('order_refund', 'refund_weight') }} as refunded_amount
    from refundable

)

select
    order_id,
    line_number,
    order_item_id,
    user_id,
    product_id,
    order_date,
    created_date,
    created_at,
    status,
    is_cancelled,
    currency,
    quantity,
    line_amount,
    discount_amount,
    adjustment_amount,
    revenue,
    revenue as gross_revenue,
    refunded_amount,
    {{ money('revenue - refunded_amount') }} as net_revenue,
    cost_amount
from refunded
