-- The shop writes the numbers of its order and its payment into the metadata of a charge; a refund belongs to
-- what its charge belongs to.
with movements as (

    select
        charge_id as movement_id,
        'payment' as kind,
        charge_id,
        customer_id,
        order_reference,
        currency,
        captured_amount as amount,
        created_date,
        created_at
    from {{ ref('stg_stripe__charges') }}
    where is_paid

    union all

    select
        refunds.refund_id,
        'refund',
        refunds.charge_id,
        charges.customer_id,
        coalesce(charges.order_reference, refunds.order_reference),
        refunds.currency,
        -refunds.amount,
        refunds.created_date,
        refunds.created_at
    from {{ ref('stg_stripe__refunds') }} as refunds
    left join {{ ref('stg_stripe__charges') }} as charges on refunds.charge_id = charges.charge_id
    where refunds.is_given_back

)

select
    movements.movement_id,
    movements.kind,
    movements.charge_id,
    movements.order_reference,
    orders.order_id,
    coalesce(orders.user_id, users.user_id) as user_id,
    movements.currency,
    movements.amount,
    movements.created_date,
    movements.created_at
from movements
left join {{ ref('stg_shop__orders') }} as orders
    on movements.order_reference = cast(orders.order_id as {{ dbt.type_string() }})
left join {{ ref('stg_stripe__customers') }} as customers on movements.customer_id = customers.customer_id
left join {{ ref('stg_shop__users') }} as users
    on customers.user_reference = cast(users.user_id as {{ dbt.type_string() }})
