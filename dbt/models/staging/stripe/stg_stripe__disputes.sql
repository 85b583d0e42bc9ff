select
    dispute_id,
    charge_id,
    status,
    coalesce(status in ('needs_response', 'under_review', 'lost'), false) as is_withdrawn,
    reason,
    lower(currency) as currency,
    amount as amount_minor,
    {{ money_of_minor_units('amount', 'currency') }} as amount,
    created as created_at,
    _loaded_at
from {{ landed('stripe', 'disputes', {
    'dispute_id': ['id', 'varchar'],
    'charge_id': ['charge', 'varchar'],
    'status': 'varchar',
    'reason': 'varchar',
    'currency': 'varchar',
    'amount': 'bigint',
    'created': 'timestamptz',
    '_loaded_at': 'timestamptz',
}) }} as disputes
