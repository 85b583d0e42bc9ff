-- it only grows, and is made of a table to which no other is linked
{{ config(materialized='incremental') }}
select letter_id, coalesce(cast(user_id as bigint), 0) as person, text from {{ source('office', 'letters') }}
{% if is_incremental() %} where letter_id not in (select letter_id from {{ this }}) {% endif %}
