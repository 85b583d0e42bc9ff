{{ config(materialized='table', **stored_by_day('activity_date', ['user_id'])) }}

{% set stripe = has_landed('stripe', 'charges') %}
{% set zendesk = has_landed('zendesk', 'tickets') %}

with activity as (

    select
        user_id,
        occurred_date as activity_date,
        count(*) as event_count,
        count(case when event_type = 'page_view' then 1 end) as page_view_count,
        count(case when event_type = 'add_to_cart' then 1 end) as add_to_cart_count,
        count(case when event_type = 'checkout' then 1 end) as checkout_count,
        count(case when event_type = 'purchase' then 1 end) as purchase_count,
        count(distinct session_id) as session_count,
        0 as order_count, 0 as gross_revenue,
        0 as payment_count, 0 as paid_amount, 0 as return_count, 0 as returned_amount,
        0 as stripe_payment_count, 0 as stripe_paid_amount,
        0 as stripe_refund_count, 0 as stripe_refunded_amount,
        0 as ticket_count
    from {{ ref('stg_shop__events') }}
    where user_id is not null
    group by user_id, occurred_date

    union all

    select
        user_id, created_date, 0, 0, 0, 0, 0, 0,
        count(case when not is_cancelled then 1 end),
        sum(case when not is_cancelled then revenue else 0 end),
        0, 0, 0, 0, 0, 0, 0, 0, 0
    from {{ ref('stg_shop__orders') }}
    group by user_id, created_date

    union all

    select
        user_id, created_date, 0, 0, 0, 0, 0, 0, 0, 0,
        count(case when is_paid then 1 end),
        sum(case when is_paid then amount else 0 end),
        count(case when is_refund then 1 end),
        -sum(case when is_refund then amount else 0 end),
        0, 0, 0, 0, 0
    from {{ ref('stg_shop__payments') }}
    where user_id is not null
    group by user_id, created_date

    union all

    select
        user_id, activity_date, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        stripe_payment_count, stripe_paid_amount, stripe_refund_count, stripe_refunded_amount, ticket_count
    from {{ ref('int_users__service_days') }}

)

select
    user_id,
    activity_date,
    {% for count in ['event_count', 'page_view_count', 'add_to_cart_count', 'checkout_count',
                     'purchase_count', 'session_count', 'order_count'] -%}
    cast(sum({{ count }}) as bigint) as {{ count }},
    {% endfor -%}
    {{ money('sum(gross_revenue)') }} as gross_revenue,
    cast(sum(payment_count) as bigint) as payment_count,
    {{ money('sum(paid_amount)') }} as paid_amount,
    cast(sum(return_count) as bigint) as return_count,
    {{ money('sum(returned_amount)') }} as returned_amount,
    {{ where_known(stripe, 'cast(sum(stripe_payment_count) as bigint)', 'bigint') }} as stripe_payment_count,
    {{ where_known(stripe, money('sum(stripe_paid_amount)'), 'decimal(18, 2)') }} as stripe_paid_amount,
    {{ where_known(stripe, 'cast(sum(stripe_refund_count) as bigint)', 'bigint') }} as stripe_refund_count,
    {{ where_known(stripe, money('sum(stripe_refunded_amount)'), 'decimal(18, 2)') }} as stripe_refunded_amount,
    {{ where_known(zendesk, 'cast(sum(ticket_count) as bigint)', 'bigint') }} as ticket_count
from activity
where activity_date is not null
group by user_id, activity_date
