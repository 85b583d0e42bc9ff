-- Days of daily_revenue that differ from a computation over everything. Compared only where the
-- table has read as far as the raw tables are loaded: what is merely behind is not wrong.
{{ config(meta={'dagster': {'ref': {'name': 'daily_revenue'}}}) }}

with sold as (

    select created_date as revenue_date, sum(revenue) as revenue, count(*) as order_count
    from {{ ref('stg_shop__orders') }}
    where not is_cancelled and created_date is not null
    group by created_date

),

refunded as (

    select refund_date as revenue_date, sum(refunded_amount) as refunded_amount
    from {{ ref('int_shop__refunds') }}
    where reduces_revenue and refund_date is not null
    group by refund_date

),

expected as (

    select
        coalesce(sold.revenue_date, refunded.revenue_date) as revenue_date,
        coalesce(sold.order_count, 0) as order_count,
        coalesce(sold.revenue, 0) as total_revenue,
        coalesce(sold.revenue, 0) - coalesce(refunded.refunded_amount, 0) as net_revenue
    from sold
    full outer join refunded on sold.revenue_date = refunded.revenue_date

),

behind as (

    select 1 as one
    from {{ ref('stg_data_platform__touched_slices') }} as slices
    cross join (
        select max(_orders_sequence) as orders_sequence, max(_payments_sequence) as payments_sequence
        from {{ ref('daily_revenue') }}
    ) as computed
    where slices.source_name = 'shop' and (
        (slices.table_name = 'orders' and slices.batch_sequence > computed.orders_sequence)
        or (slices.table_name = 'payments' and slices.batch_sequence > computed.payments_sequence)
    )

)

select
    coalesce(expected.revenue_date, actual.date) as revenue_date,
    expected.net_revenue as expected_net_revenue,
    actual.net_revenue
from expected
full outer join {{ ref('daily_revenue') }} as actual
    on expected.revenue_date = actual.date
where not exists (select 1 from behind)
    and (
        coalesce(expected.net_revenue, 0) <> coalesce(actual.net_revenue, 0)
        or coalesce(expected.total_revenue, 0) <> coalesce(actual.total_revenue, 0)
        or coalesce(expected.order_count, 0) <> coalesce(actual.order_count, 0)
    )
