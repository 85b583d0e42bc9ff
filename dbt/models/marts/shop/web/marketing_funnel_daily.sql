-- Every step by day. The property's days are those of its time zone, so the shop's orders are counted by days of that
-- zone too; what the campaigns cost stands on the day that the agency wrote.
{% set zone = var('web_time_zone') %}
{% set has_spend = has_landed('files', 'marketing_spend') %}

with steps as (

    select
        traffic_date as date,
        0 as impression_count, 0 as click_count, 0 as cost_amount,
        session_count,
        case when channel like 'Paid%' then session_count else 0 end as paid_session_count,
        engaged_session_count, new_user_count,
        0 as sign_up_count, 0 as purchase_count, revenue as web_revenue,
        0 as order_count, 0 as first_order_count, 0 as order_revenue,
        case when is_partial then 1 else 0 end as partial
    from {{ ref('stg_web__traffic') }}

    union all

    select
        conversion_date, 0, 0, 0, 0, 0, 0, 0,
        case when event_name = 'sign_up' then key_event_count else 0 end,
        case when event_name = 'purchase' then key_event_count else 0 end,
        0, 0, 0, 0,
        case when is_partial then 1 else 0 end
    from {{ ref('stg_web__conversions') }}

    union all

    select
        {{ day_in_zone('created_at', zone) }}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        case when is_cancelled then 0 else 1 end,
        case when user_order_number = 1 then 1 else 0 end,
        gross_revenue,
        0
    from {{ ref('order_totals') }}
    {%- if has_spend %}

    union all

    select spend_date, impression_count, click_count, cost_amount, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
    from {{ ref('stg_files__marketing_spend') }}
    {%- endif %}

),

days as (

    select
        date,
        {%- for count in ['impression_count', 'click_count', 'session_count', 'paid_session_count',
                          'engaged_session_count', 'new_user_count', 'sign_up_count', 'purchase_count',
                          'order_count', 'first_order_count'] %}
        cast(sum({{ count }}) as bigint) as {{ count }},
        {%- endfor %}
        {{ money('sum(cost_amount)') }} as cost_amount,
        {{ money('sum(web_revenue)') }} as web_revenue,
        {{ money('sum(order_revenue)') }} as order_revenue,
        max(partial) = 1 as is_partial
    from steps
    group by date

)

select
    date,
    {{ where_known(has_spend, 'impression_count', 'bigint') }} as impression_count,
    {{ where_known(has_spend, 'click_count', 'bigint') }} as click_count,
    {{ where_known(has_spend, 'cost_amount', 'decimal(18, 2)') }} as cost_amount,
    session_count,
    paid_session_count,
    engaged_session_count,
    new_user_count,
    sign_up_count,
    purchase_count,
    web_revenue,
    order_count,
    first_order_count,
    order_revenue,
    {{ where_known(has_spend, money_per('cost_amount', 'order_count'), 'decimal(18, 2)') }} as cost_per_order,
    {{ where_known(has_spend, money_per('cost_amount', 'first_order_count'), 'decimal(18, 2)') }} as cost_per_new_customer,
    is_partial
from days
-- before the first day that the property was read, and after its last, there is nothing to compare
where date between (select min(traffic_date) from {{ ref('stg_web__traffic') }})
    and (select max(traffic_date) from {{ ref('stg_web__traffic') }})
