{# Generated from catalog/subjects.yaml by `data-platform validate --write`: change the catalog instead. #}
{{ config(materialized='view') }}

with answers as (

    select
        cast('customer' as {{ column_type('varchar') }}) as subject_kind,
        subject_key,
        cast('marketing' as {{ column_type('varchar') }}) as purpose,
        case when answer then 1 else 0 end as agreed,
        cast(null as {{ column_type('varchar') }}) as policy_version,
        decided_at,
        cast('shop/users' as {{ column_type('varchar') }}) as said_by
    from {{ landed('shop', 'users', {'subject_key': ['user_id', 'varchar'], 'answer': ['marketing_opt_in', 'boolean'], 'decided_at': ['updated_at', 'timestamptz']}) }} as answered

    union all

    select
        subject_kind,
        subject_key,
        purpose,
        case when answer = 'granted' then 1 else 0 end as agreed,
        policy_version,
        decided_at,
        cast('by hand' as {{ column_type('varchar') }}) as said_by
    from {{ landed('privacy', 'consent_decisions', {'subject_kind': ['subject_kind', 'varchar'], 'subject_key': ['subject_key', 'varchar'], 'purpose': ['purpose', 'varchar'], 'answer': ['state', 'varchar'], 'policy_version': ['policy_version', 'varchar'], 'decided_at': ['decided_at', 'timestamptz']}) }} as decided
    where subject_key is not null

),

ranked as (

    select
        answers.*,
        row_number() over (
            partition by subject_kind, subject_key, purpose
            order by decided_at desc nulls last, agreed, policy_version desc nulls last, said_by
        ) as newest
    from answers
    where
        subject_key is not null and (
            (subject_kind = 'customer' and purpose in ('marketing'))
        )

)

select
    subject_kind,
    subject_key,
    purpose,
    cast(case when agreed = 1 then 'granted' else 'withdrawn' end as {{ column_type('varchar') }}) as state,
    policy_version,
    decided_at,
    said_by,
    coalesce(
        agreed = 1 and (
            (purpose = 'marketing')
        ), false
    ) as counts
from ranked
where newest = 1
