{{ config(
    materialized=materialized_view_or('incremental'),
    incremental_strategy=days_replaced_by(),
    unique_key='revenue_date',
    on_schema_change='append_new_columns',
    post_hook="{{ delete_where('order_count + cancelled_order_count + refund_count = 0') }}",
    **(of_materialized_view() or stored_by_day('revenue_date'))
) }}

-- Where the engine has materialized views, it is one, and a run refreshes it. Elsewhere it is a table:
-- an incremental run computes whole days again: those that a load touched since the last run,
-- however late, with the days that a changed row left. A day that has become empty is computed
-- as zeros, which replace its row, and the post-hook removes it, in DuckDB in the same transaction.
-- Each row keeps the batch of both raw tables it was computed from; the greatest is how far
-- this table has read. Should that row vanish, the next run merely computes more days. So does the
-- first run after the table was given another column.

{% set held = column_names(this) if is_incremental() else [] %}
{% set is_view = has_materialized_views() %}

with orders as (

    select * from {{ of_tables_alone('stg_shop__orders') }} as orders where created_date is not null

),

refunds as (

    select * from {{ of_tables_alone('int_shop__refunds') }} as refunds where refund_date is not null

),

{% if not is_view %}

loaded as (

    select
        coalesce(max(case when table_name = 'orders' then batch_sequence end), 0) as orders_sequence,
        coalesce(max(case when table_name = 'payments' then batch_sequence end), 0) as payments_sequence
    from {{ ref('stg_data_platform__touched_slices') }}
    where source_name = 'shop'

),

{% endif %}

{% if is_incremental() %}

computed as (

    select
        coalesce(max(_orders_sequence), 0) as orders_sequence,
        coalesce(max(_payments_sequence), 0) as payments_sequence
    from {{ this }}

),

touched as (

    select slices.table_name, slices.slice, slices.slice_date
    from {{ ref('stg_data_platform__touched_slices') }} as slices
    cross join computed
    where slices.source_name = 'shop' and (
        (slices.table_name = 'orders' and slices.batch_sequence > computed.orders_sequence)
        or (slices.table_name = 'payments' and slices.batch_sequence > computed.payments_sequence)
    )

),

every_day as (

    select created_date as revenue_date from orders
    union all
    select refund_date from refunds
    union all
    select revenue_date from {{ this }}

),

concerned as (

    select slice_date as revenue_date from touched where slice_date is not null

    union all
    -- an order that is cancelled takes its refunds, on other days, out of the sum with it
    select refund_date from refunds
    where order_created_date in (
        select slice_date from touched where table_name = 'orders' and slice_date is not null
    )

    union all
    -- no slice tells when the order of these, missing or without a day, came, went or changed
    select refund_date from refunds where order_created_date is null

    union all
    -- a load that names no days, or a raw table that begins again at a lower batch
    select revenue_date from every_day
    where exists (select 1 from touched where slice = 'all')
        or exists (
            select 1 from loaded cross join computed
            where loaded.orders_sequence < computed.orders_sequence
                or loaded.payments_sequence < computed.payments_sequence
        )
        {%- if held and 'total_revenue' not in held %}
        or true
        {%- endif %}

),

{% else %}

concerned as (

    select created_date as revenue_date from orders
    union all
    select refund_date from refunds

),

{% endif %}

days as (

    select distinct revenue_date from concerned

),

order_days as (

    select
        created_date,
        count(case when not is_cancelled then 1 end) as order_count,
        count(case when is_cancelled then 1 end) as cancelled_order_count,
        count(distinct case when not is_cancelled then user_id end) as customer_count,
        sum(case when not is_cancelled then revenue else 0 end) as gross_revenue
    from orders
    where created_date in (select revenue_date from days)
    group by created_date

),

refund_days as (

    select refund_date, count(*) as refund_count, sum(refunded_amount) as refunded_amount
    from refunds
    where reduces_revenue and refund_date in (select revenue_date from days)
    group by refund_date

)

select
    days.revenue_date as date,
    {{ money('coalesce(order_days.gross_revenue, 0)') }} as total_revenue,
    days.revenue_date,
    coalesce(order_days.order_count, 0) as order_count,
    coalesce(order_days.cancelled_order_count, 0) as cancelled_order_count,
    coalesce(order_days.customer_count, 0) as customer_count,
    {{ money('coalesce(order_days.gross_revenue, 0)') }} as gross_revenue,
    coalesce(refund_days.refund_count, 0) as refund_count,
    {{ money('coalesce(refund_days.refunded_amount, 0)') }} as refunded_amount,
    {{ money('coalesce(order_days.gross_revenue, 0) - coalesce(refund_days.refunded_amount, 0)') }} as net_revenue,
    {{ money_per('order_days.gross_revenue', 'order_days.order_count') }} as average_order_value,
    {%- if is_view %}
    cast(null as {{ column_type('bigint') }}) as _orders_sequence,
    cast(null as {{ column_type('bigint') }}) as _payments_sequence
from days
    {%- else %}
    loaded.orders_sequence as _orders_sequence,
    loaded.payments_sequence as _payments_sequence
from days
cross join loaded
    {%- endif %}
left join order_days on days.revenue_date = order_days.created_date
left join refund_days on days.revenue_date = refund_days.refund_date
{%- if is_view %}
where coalesce(order_days.order_count, 0) + coalesce(order_days.cancelled_order_count, 0)
    + coalesce(refund_days.refund_count, 0) > 0
{%- endif %}
