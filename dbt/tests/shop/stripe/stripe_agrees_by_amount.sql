{{ config(
    severity='warn',
    fail_calc="coalesce(sum(cents), 0)",
    meta={'counts': 'cent', 'dagster': {'ref': {'name': 'stripe_reconciliation'}}}
) }}

select cast({{ cents('sum(differing_amount)') }} as bigint) as cents
from {{ ref('stripe_reconciliation') }}
where is_difference
