-- it only grows
{{ config(materialized='incremental') }}
select order_id, user_id as person, note from {{ source('shop', 'orders') }}
{% if is_incremental() %} where order_id not in (select order_id from {{ this }}) {% endif %}
