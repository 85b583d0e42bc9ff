{{ config(severity='warn', meta={'counts': 'order', 'dagster': {'ref': {'name': 'stripe_reconciliation'}}}) }}

select reconciliation_id, status, currency, difference_amount
from {{ ref('stripe_reconciliation') }}
where is_difference
