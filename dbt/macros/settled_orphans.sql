{# SQL for the values that miss their parent for good; nothing where the platform's records do not tell.

   It is decided where rows have the time of their load, in the staging models that `model` and `to` are
   made of and that have the column too. A child row counts once its batch was read no later than the
   parent's table, unless the parent's table has lost rows since the child's deletes were last known. Both
   are instants of the source's clock, in `_data_platform`. A parent's table is one in which the column is unique: `to`
   may be made of others that have the column too. Where `to` is made of such a staging model, a
   parent that this holds since less than a day is taken for one that `to` will hold when it is next built. #}
{% macro settled_orphans(model, column_name, to, field) -%}
    {%- if not execute -%}{{ return('') }}{%- endif -%}
    {%- set records = adapter.get_relation(target.database, schema_prefix() ~ '_data_platform', 'loaded_batches') -%}
    {%- set reads = adapter.get_relation(target.database, schema_prefix() ~ '_data_platform', 'table_reads') -%}
    {%- if not records or not reads or 'snapshot_at' not in column_names(records) -%}{{ return('') }}{%- endif -%}
    {%- set found = [] -%}
    {%- for child in staged_with(model, column_name) -%}
        {%- for parent in where_unique(staged_with(to, field), field) -%}
            {%- do found.append(_settled_pair(child, column_name, parent, field, to, records, reads)) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found | join('\nunion all\n')) }}
{%- endmacro %}

{% macro _settled_pair(child, column_name, parent, field, to, records, reads) -%}
    {%- set table = raw_name('table') -%}
    {%- set of_child = "source = '" ~ child.source ~ "' and " ~ table ~ " = '" ~ child.table ~ "'" -%}
    {%- set of_parent = "source = '" ~ parent.source ~ "' and " ~ table ~ " = '" ~ parent.table ~ "'" -%}
    {%- set never = instant('1900-01-01 00:00:00') -%}
    select c.{{ column_name }}
    from {{ child.relation }} as c
    where
        c.{{ column_name }} is not null
        and c._loaded_at <= (
            select max(loaded_at) from {{ records }}
            where {{ of_child }} and (
                snapshot_at is null
                or snapshot_at <= coalesce((select max(read_at) from {{ reads }} where {{ of_parent }}), snapshot_at)
            )
        )
        and coalesce((select max(lost_at) from {{ reads }} where {{ of_parent }}), {{ never }})
        <= coalesce((select max(reconciled_at) from {{ reads }} where {{ of_child }}), {{ never }})
        and not exists (
            select 1 from {{ parent.relation }} as p
            where p.{{ field }} = c.{{ column_name }}
            {%- if parent.relation | string != to | string %}
                and p._loaded_at > {{ before(dbt.current_timestamp(), 1, 'day') }}
            {%- endif %}
        )
{%- endmacro %}

{# Those of `staged` in which the column has a test `unique`; all of them where none has. #}
{% macro where_unique(staged, column_name) -%}
    {%- set keys = [] -%}
    {%- for test in graph.nodes.values() if test.resource_type == 'test' and test.test_metadata
        and test.test_metadata.name == 'unique' and test.column_name == column_name -%}
        {%- do keys.append(test.attached_node) -%}
    {%- endfor -%}
    {%- set unique = staged | selectattr('id', 'in', keys) | list -%}
    {{ return(unique or staged) }}
{%- endmacro %}

{# The staging models among `relation` and what it is made of that have the column and `_loaded_at`,
   each with its relation and the table of the source it reads. #}
{% macro staged_with(relation, column_name) -%}
    {%- set start = [] -%}
    {%- for node in graph.nodes.values() if node.relation_name and node.relation_name == relation | string -%}
        {%- do start.append(node.unique_id) -%}
    {%- endfor -%}
    {%- set waiting, seen, found = start, [], [] -%}
    {%- for _ in range(10000) if waiting -%}
        {%- set node = graph.nodes.get(waiting.pop()) -%}
        {%- if node and node.unique_id not in seen -%}
            {%- do seen.append(node.unique_id) -%}
            {%- do waiting.extend(node.depends_on.nodes) -%}
            {%- set sources = node.depends_on.nodes | select('in', graph.sources) | list -%}
            {%- if sources | length == 1 -%}
                {%- set staged = adapter.get_relation(node.database, node.schema, node.alias) -%}
                {%- set names = column_names(staged) if staged else [] -%}
                {%- if column_name in names and '_loaded_at' in names -%}
                    {%- set source = graph.sources[sources[0]] -%}
                    {%- do found.append({
                        'id': node.unique_id, 'relation': staged, 'source': source.source_name, 'table': source.identifier
                    }) -%}
                {%- endif -%}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
