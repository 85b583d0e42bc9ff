{% set methods = "'" ~ var('stripe_methods') | join("', '") ~ "'" %}

with shop as (

    select
        cast(order_id as {{ dbt.type_string() }}) as order_reference,
        count(case when is_paid then 1 end) as payment_count,
        sum(case when is_paid then amount else 0 end) as paid_amount,
        -sum(case when is_refund then amount else 0 end) as returned_amount,
        max(updated_at) as changed_at
    from {{ ref('stg_shop__payments') }}
    where method in ({{ methods }}) and (is_paid or is_refund)
    group by order_id

),

stripe as (

    select
        order_reference,
        min(case when order_reference is null then charge_id end) as charge_id,
        count(case when kind = 'payment' then 1 end) as charge_count,
        sum(case when kind = 'payment' then amount else 0 end) as charged_amount,
        -sum(case when kind = 'refund' then amount else 0 end) as refunded_amount,
        min(upper(currency)) as currency,
        max(upper(currency)) as last_currency,
        max(created_at) as changed_at
    from {{ ref('int_stripe__movements') }}
    -- what belongs to no order stands by itself, a row a charge
    group by order_reference, case when order_reference is null then coalesce(charge_id, movement_id) end

),

sold as (

    select
        order_id,
        {{ money('sum(revenue)') }} as revenue,
        {{ money('sum(net_revenue)') }} as net_revenue
    from {{ ref('order_facts') }}
    group by order_id

),

read_until as (

    -- What one side says of later moments, the other cannot know yet.
    select
        {{ read_until('stripe', ['charges', 'refunds']) }} as stripe_read_at,
        {{ read_until('shop', ['payments']) }} as shop_read_at,
        (
            select max(lost_at) from {{ ref('stg_data_platform__table_reads') }}
            where source_name = 'shop' and table_name in ('orders', 'payments')
        ) as shop_lost_at,
        (
            select min(reconciled_at) from {{ ref('stg_data_platform__table_reads') }}
            where source_name = 'shop' and table_name in ('orders', 'payments')
        ) as shop_deletes_known_at

),

compared as (

    select
        coalesce(shop.order_reference, stripe.order_reference, stripe.charge_id) as reconciliation_id,
        orders.order_id,
        orders.user_id,
        orders.order_id is not null as is_in_shop,
        coalesce(upper(orders.currency), stripe.currency) as currency,
        stripe.currency <> stripe.last_currency or stripe.currency <> upper(orders.currency) as currency_differs,
        coalesce(shop.payment_count, 0) as payment_count,
        coalesce(stripe.charge_count, 0) as charge_count,
        {{ money('coalesce(shop.paid_amount, 0)') }} as paid_amount,
        {{ money('coalesce(stripe.charged_amount, 0)') }} as charged_amount,
        {{ money('coalesce(shop.returned_amount, 0)') }} as returned_amount,
        {{ money('coalesce(stripe.refunded_amount, 0)') }} as refunded_amount,
        sold.revenue,
        sold.net_revenue,
        stripe.changed_at as stripe_changed_at,
        greatest(
            coalesce(shop.changed_at, stripe.changed_at), coalesce(stripe.changed_at, shop.changed_at)
        ) as changed_at
    from shop
    full outer join stripe on shop.order_reference = stripe.order_reference
    left join {{ ref('stg_shop__orders') }} as orders
        on coalesce(shop.order_reference, stripe.order_reference) = cast(orders.order_id as {{ dbt.type_string() }})
    left join sold on orders.order_id = sold.order_id

),

judged as (

    select
        compared.*,
        case
            when compared.currency_differs then 'currency_differs'
            when compared.paid_amount = compared.charged_amount
                and compared.returned_amount = compared.refunded_amount then 'agrees'
            when not compared.is_in_shop
                and compared.charged_amount = compared.refunded_amount then 'given_back'
            when compared.charge_count = 0 and compared.refunded_amount = 0 then 'missing_in_stripe'
            when compared.payment_count = 0 and compared.returned_amount = 0 then 'missing_in_shop'
            when compared.charge_count > compared.payment_count then 'charged_more_often'
            when compared.charge_count < compared.payment_count then 'charged_less_often'
            when compared.paid_amount <> compared.charged_amount then 'amount_differs'
            else 'refund_differs'
        end as found,
        coalesce(
            compared.changed_at < {{ before('read_until.stripe_read_at', 5, 'minute') }}
            and compared.changed_at < {{ before('read_until.shop_read_at', 5, 'minute') }}
            and (compared.is_in_shop or read_until.shop_lost_at is null
                or read_until.shop_lost_at < {{ before('read_until.stripe_read_at', 5, 'minute') }})
            -- Where Stripe has given everything back, the shop may have deleted the order since its last reconcile.
            and (compared.charged_amount <> compared.refunded_amount or compared.stripe_changed_at is null
                or compared.stripe_changed_at
                    < coalesce(read_until.shop_deletes_known_at, read_until.shop_read_at)),
            false
        ) as is_settled
    from compared
    cross join read_until

)

select
    reconciliation_id,
    order_id,
    user_id,
    case when found in ('agrees', 'given_back') or is_settled then found else 'pending' end as status,
    found not in ('agrees', 'given_back') and is_settled as is_difference,
    currency,
    payment_count,
    charge_count,
    paid_amount,
    charged_amount,
    returned_amount,
    refunded_amount,
    {{ money('charged_amount - refunded_amount - (paid_amount - returned_amount)') }} as difference_amount,
    {{ money('abs(charged_amount - paid_amount) + abs(refunded_amount - returned_amount)') }} as differing_amount,
    revenue,
    net_revenue,
    changed_at
from judged
