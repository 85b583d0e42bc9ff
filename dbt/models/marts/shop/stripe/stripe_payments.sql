-- Each of the tables that is joined has at most one row a charge: a charge that was refunded in parts, or disputed,
-- stays one row.
with refunds as (

    select charge_id, count(*) as refund_count, sum(amount) as refunded_amount
    from {{ ref('stg_stripe__refunds') }}
    where is_given_back
    group by charge_id

),

disputes as (

    select
        charge_id,
        count(*) as dispute_count,
        sum(case when is_withdrawn then amount else 0 end) as disputed_amount
    from {{ ref('stg_stripe__disputes') }}
    group by charge_id

),

fees as (

    select source_reference as charge_id, min(currency) as fee_currency, sum(fee_amount) as fee_amount
    from {{ ref('stg_stripe__balance_transactions') }}
    where type in ('charge', 'payment')
    group by source_reference

)

select
    charges.charge_id,
    orders.order_id,
    payments.payment_id,
    coalesce(orders.user_id, users.user_id) as user_id,
    charges.status,
    charges.is_paid,
    charges.failure_code,
    upper(charges.currency) as currency,
    charges.amount,
    {{ money('case when charges.is_paid then charges.captured_amount else 0 end') }} as captured_amount,
    coalesce(refunds.refund_count, 0) as refund_count,
    {{ money('coalesce(refunds.refunded_amount, 0)') }} as refunded_amount,
    coalesce(disputes.dispute_count, 0) as dispute_count,
    {{ money('coalesce(disputes.disputed_amount, 0)') }} as disputed_amount,
    {{ money('case when charges.is_paid then charges.captured_amount else 0 end
              - coalesce(refunds.refunded_amount, 0) - coalesce(disputes.disputed_amount, 0)') }} as net_amount,
    {{ money('coalesce(fees.fee_amount, 0)') }} as fee_amount,
    upper(fees.fee_currency) as fee_currency,
    charges.created_date,
    charges.created_at
from {{ ref('stg_stripe__charges') }} as charges
left join refunds on charges.charge_id = refunds.charge_id
left join disputes on charges.charge_id = disputes.charge_id
left join fees on charges.charge_id = fees.charge_id
left join {{ ref('stg_shop__orders') }} as orders
    on charges.order_reference = cast(orders.order_id as {{ dbt.type_string() }})
left join {{ ref('stg_shop__payments') }} as payments
    on charges.payment_reference = cast(payments.payment_id as {{ dbt.type_string() }})
left join {{ ref('stg_stripe__customers') }} as customers on charges.customer_id = customers.customer_id
left join {{ ref('stg_shop__users') }} as users
    on customers.user_reference = cast(users.user_id as {{ dbt.type_string() }})
