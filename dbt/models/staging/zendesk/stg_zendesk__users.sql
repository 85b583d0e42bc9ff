-- The name is redacted at the door and so left out here.
select
    zendesk_user_id,
    external_id as user_reference,
    email,
    role,
    coalesce(active, false) as is_active,
    created_at,
    updated_at,
    _loaded_at
from {{ landed('zendesk', 'users', {
    'zendesk_user_id': ['id', 'bigint'],
    'external_id': 'varchar',
    'email': 'varchar',
    'role': 'varchar',
    'active': 'boolean',
    'created_at': 'timestamptz',
    'updated_at': 'timestamptz',
    '_loaded_at': 'timestamptz',
}) }} as users
