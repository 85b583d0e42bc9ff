{# SQL for the instant up to which all of `tables` of a source were read; NULL where one of them never was. Where the
   platform's records do not tell, it is when the newest row was loaded. #}
{% macro read_until(source_name, tables) -%}
    (
        select case when count(instant) = {{ tables | length }} then min(instant) end
        from (
            {%- for table_name in tables %}
            select coalesce(
                (
                    select max(read_at) from {{ ref('stg_data_platform__table_reads') }}
                    where source_name = '{{ source_name }}' and table_name = '{{ table_name }}'
                ),
                (select max(_loaded_at) from {{ ref('stg_' ~ source_name ~ '__' ~ table_name) }})
            ) as instant
            {% if not loop.last %}union all{% endif %}
            {%- endfor %}
        ) as reads
    )
{%- endmacro %}
