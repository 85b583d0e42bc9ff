-- The marts add amounts as they stand, which means nothing over several currencies: convert
-- them in stg_shop__orders first. One row per currency where there is more than one.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'stg_shop__orders'}}}) }}

select currency, count(*) as order_count
from {{ ref('stg_shop__orders') }}
group by currency
having (select count(distinct currency) from {{ ref('stg_shop__orders') }}) > 1
