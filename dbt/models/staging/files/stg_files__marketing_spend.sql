-- The agency's own words are German.
select
    spend_date,
    channel,
    campaign,
    currency,
    impression_count,
    click_count,
    {{ money('cost') }} as cost_amount,
    file,
    file_row,
    _loaded_at
from {{ landed('files', 'marketing_spend', {
    'spend_date': ['Datum', 'date'],
    'channel': ['Kanal', 'varchar'],
    'campaign': ['Kampagne', 'varchar'],
    'currency': ['Währung', 'varchar'],
    'impression_count': ['Impressionen', 'bigint'],
    'click_count': ['Klicks', 'bigint'],
    'cost': ['Kosten', 'decimal(12, 2)'],
    'file': ['_file', 'varchar'],
    'file_row': ['_row', 'bigint'],
    '_loaded_at': 'timestamptz',
}) }} as spend
