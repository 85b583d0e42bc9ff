-- Whatever systems a company has beside its shop: one that has not landed adds no rows.
with days as (

    select
        cast(null as bigint) as user_id, cast(null as date) as activity_date,
        0 as stripe_payment_count, 0 as stripe_paid_amount,
        0 as stripe_refund_count, 0 as stripe_refunded_amount,
        0 as ticket_count
    from (select 1 as nothing) as nothing
    where 1 = 0
    {%- if has_landed('stripe', 'charges') %}

    union all

    select
        user_id, created_date,
        case when kind = 'payment' then 1 else 0 end, case when kind = 'payment' then amount else 0 end,
        case when kind = 'refund' then 1 else 0 end, case when kind = 'refund' then -amount else 0 end,
        0
    from {{ ref('int_stripe__movements') }}
    {%- endif %}
    {%- if has_landed('zendesk', 'tickets') %}

    union all

    select user_id, created_date, 0, 0, 0, 0, 1
    from {{ ref('int_zendesk__tickets_matched') }}
    {%- endif %}

)

select
    user_id,
    activity_date,
    cast(sum(stripe_payment_count) as bigint) as stripe_payment_count,
    {{ money('sum(stripe_paid_amount)') }} as stripe_paid_amount,
    cast(sum(stripe_refund_count) as bigint) as stripe_refund_count,
    {{ money('sum(stripe_refunded_amount)') }} as stripe_refunded_amount,
    cast(sum(ticket_count) as bigint) as ticket_count
from days
where user_id is not null and activity_date is not null
group by user_id, activity_date
