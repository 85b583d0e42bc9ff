"""Which names look personal, and which only sound like it."""

from __future__ import annotations

import pytest

from data_platform.privacy.names import is_email, looks_personal

PERSONAL = {
    "an email address": "email e_mail Email customerEmail email_address emailAddress EMAIL2 backup_email work_emails mail"
    " contact_mail_address emailaddress",
    "a phone number": "phone phone_number mobile mobile_phone home_phone telephone tel phoneNumber fax cellphone msisdn"
    " whatsapp phonenumber phone1 mobile_no",
    "a social security number": "ssn SSN user_ssn social_security_number nino",
    "a passport number": "passport passport_no passport_id",
    "a driving licence number": "drivers_license driving_licence_number",
    "a national identity number": "national_id identity_number cpf dni",
    "a tax number": "tax_id tin taxpayer_tin",
    "a person's name": "first_name firstName FirstName lastname full_name surname middle_name maiden_name customer_name"
    " contact_name username user_name cardholder_name vorname nickname billing_name",
    "a date of birth": "birth_date BirthDate date_of_birth dob birthday birthdate born_on year_of_birth_year birth_year",
    "a postal address": "address BillingAddress shipping_address street address_line_1 address1 street_name home_addr"
    " addressLine2",
    "part of a postal address": "postal_code BillingPostalCode zip zipcode postcode",
    "an IP address": "ip ip_address client_ip last_login_ip ipaddress ipv4 remote_addr",
    "a bank account": "iban account_number bank_account",
    "a payment card": "card_number credit_card cc_number cvv",
    "a credential": "password password_hash api_key access_token secret client_secret",
    "a personal trait": "gender religion nationality ethnicity",
    "a device's number": "mac_address imei",
}
NOT_PERSONAL = """
    id name product_name company_name file_name category_name brand_name artist_name playlist_name display_order
    order_id user_id customer_id session_id event_id age country city state currency status created_at updated_at
    email_verified email_verified_at is_email_valid email_count email_opt_in email_template_id email_id phone_type
    phone_verified has_phone address_id shipping_address_id address_type num_addresses ship_to zipper zip_file
    mailing_list mailbox_count equipment tip tip_amount description shipping shipped_at iphone_model trip_id
    title composer unit_price quantity revenue discount coupon_code sku segment properties method occurred_at
    event_type marketing_opt_in paid_at is_active cost category telemetry hotel intel_id first_order_date last_seen
    last_updated full_price passwordless_enabled cell_count password_changed_at sexton streetwear_category race_condition
    secretary_count card_type hostname surname_count
"""


@pytest.mark.parametrize(("reason", "name"), [(r, n) for r, names in PERSONAL.items() for n in names.split()])
def test_personal(reason: str, name: str) -> None:
    assert looks_personal(name) == reason


@pytest.mark.parametrize("name", NOT_PERSONAL.split())
def test_not_personal(name: str) -> None:
    assert looks_personal(name) is None


@pytest.mark.parametrize(
    "name", ["email", "Email", "customerEmail", "e_mail", "E-Mail", "mail", "emailaddress"]
)
def test_columns_of_email_addresses(name: str) -> None:
    assert is_email(name)


@pytest.mark.parametrize("name", ["phone", "mailing_list", "name", "user_id"])
def test_columns_of_something_else(name: str) -> None:
    assert not is_email(name)
