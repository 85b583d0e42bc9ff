-- it only grows, and its keys are texts
{{ config(materialized='incremental') }}
select order_id, cast(user_id as varchar) as person, note from {{ source('shop', 'orders') }}
{% if is_incremental() %} where order_id not in (select order_id from {{ this }}) {% endif %}
