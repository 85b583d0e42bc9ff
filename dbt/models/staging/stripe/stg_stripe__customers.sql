-- The name and the address are redacted at the door and so left out here.
select
    customer_id,
    email,
    {{ json_text('metadata', 'user_id') }} as user_reference,
    created as created_at,
    _loaded_at
from {{ landed('stripe', 'customers', {
    'customer_id': ['id', 'varchar'],
    'email': 'varchar',
    'metadata': 'varchar',
    'created': 'timestamptz',
    '_loaded_at': 'timestamptz',
}) }} as customers
