"""Which column names look personal. By name only: the values are never looked at."""

from __future__ import annotations

import re

_PEOPLE = (
    "customer|client|user|person|contact|employee|patient|member|guest|recipient|sender|holder|cardholder"
    "|owner|buyer|seller|driver|passenger|student|teacher|manager|agent|billing|shipping|delivery|legal|real"
    "|account_holder|beneficiary|spouse|mother|father|parent|child|kin"
)

# Matched against `_words_of_the_name_`, first match wins; the reason completes "looks like ...".
_PATTERNS: tuple[tuple[str, str], ...] = (
    (r"_(password|passwd|pwd|passphrase|passcode|pin_code|otp|totp|mfa)_", "a credential"),
    (
        r"_(secret|api_key|apikey|private_key|access_key|(access|refresh|auth|bearer|reset|id)_token)_",
        "a credential",
    ),
    (r"_(e_?mails?|e_?mail_?(address|addr)(es)?|correo|courriel)_", "an email address"),
    (r"_mail_(address|addr)_|_mail_$", "an email address"),
    (r"_(ip|ips|ip_?addr(ess)?|ipv_?[46]|remote_addr|ip_?[46]_?addr(ess)?)_$", "an IP address"),
    (r"_ip_?(addr|address)_", "an IP address"),
    (r"_(mac_?address|imei|imsi|idfa|gaid|advertising_id)_", "a device's number"),
    (
        r"_(phones?|telephones?|phone_?(no|nr|number)|telefono?|tel|msisdn|fax|whatsapp|cell_?phone|sms_number)_",
        "a phone number",
    ),
    (r"_(mobile|cell|mobil|handy)(_(no|nr|num|number))?_$", "a phone number"),
    (
        r"_(ssn|ssns|social_?security(_?(no|nr|number))?|social_insurance(_number)?|national_insurance(_number)?|nino)_",
        "a social security number",
    ),
    (r"_(passport)_", "a passport number"),
    (r"_driv(er|ers|ing)_?(licen[cs]e)_", "a driving licence number"),
    (
        r"_(national|citizen|personal|identity|government)_(id|ident|no|nr|num|number|code|card)_",
        "a national identity number",
    ),
    (
        r"_(id_card|identity_card|aadhaar|cpf|curp|dni|nif|nie|bsn|pesel|personnummer|codice_fiscale|fiscal_code)_",
        "a national identity number",
    ),
    (r"_(tax_?(id|number|payer_id|code)|tin|itin|steuer_?(id|nummer))_", "a tax number"),
    (
        r"_(date_of_birth|dateofbirth|birth_?(date|day|year|month|place)|born(_(on|at))?|dob|geburtsdatum)_",
        "a date of birth",
    ),
    (r"_(iban|bank_?account|account_(no|nr|number)|routing_number|sort_code)_", "a bank account"),
    (
        r"_((credit|debit|payment)_?card|card_?(no|nr|num|number)|cc_?(no|num|number)|cvv|cvc|cvv2)_",
        "a payment card",
    ),
    (
        r"_(first|last|middle|full|given|family|maiden|sur|fore|christian|birth)_?names?_",
        "a person's name",
    ),
    (
        r"_(fname|lname|surnames?|vorname|nachname|familienname|prenom|apellidos?|nick_?name|(card|account)_?holder)_",
        "a person's name",
    ),
    (rf"_({_PEOPLE})_?(full_?)?names?_$", "a person's name"),
    (r"_(user_?name|login_name|display_name|screen_name)_$", "a person's name"),
    (
        r"_(address|addresses|addr|adresse|direccion|street|street_?(name|address|number|no)|strasse|house_?(no|number)|apartment)(_?(line)?_?[0-9])?_",
        "a postal address",
    ),
    (r"_(address_?line|addressline)_?[0-9]?_|_address[0-9]_", "a postal address"),
    (r"_(postal_?code|post_?code|zip|zip_?code|plz|postleitzahl)_$", "part of a postal address"),
    (
        r"_(gender|sex|ethnicity|ethnic_group|race|religion|nationality|marital_status|sexual_orientation|disability|blood_type)_$",
        "a personal trait",
    ),
)

_ABOUT_IT = re.compile(
    # a flag, a count, a time or a reference about such a value, not the value itself
    r"^_(is|has|had|can|should|wants|allow|allows|accepts|num|count|n|total|requires?)_"
    r"|_(count|counts|verified|verification|confirmed|confirmation|valid|validated|validity|enabled|disabled|sent"
    r"|opened|clicked|bounced|delivered|status|state|type|kind|format|template|campaign|subject|opt_?in|opt_?out"
    r"|optin|optout|consent|subscribed|unsubscribed|notifications?|preference|preferences|frequency|length"
    r"|changed|updated|attempts|provider|domain|required|uuid|guid|fk|at|ts|timestamp|policy|version|expiry|expires)_$"
)
_REFERENCE = re.compile(
    r"_(address|addr|e_?mail|mail|phone|telephone|mobile|bank_?account|card|name|template|campaign)_(id|key|sk|ref)_$"
)
_EMAIL = re.compile(r"_(e_?mails?|e_?mail_?(address|addr)(es)?|mail|mail_(address|addr))_")


def looks_personal(column: str) -> str | None:
    """What a column of this name looks like (``"an email address"``), or None.

    A flag, a count or a time about such a value (``email_verified``,
    ``phone_count``) is not the value; ``name`` alone names anything.
    """
    words = _words(column)
    born = "_born_" in words
    if (_ABOUT_IT.search(words) and not born) or _REFERENCE.search(words):
        return None
    for pattern, reason in _PATTERNS:
        if re.search(pattern, words):
            return reason
    return None


def is_email(column: str) -> bool:
    """Whether the values of a column of this name are e-mail addresses (trimmed and lower-cased
    before they are hashed)."""
    return "email" in column.lower() or _EMAIL.search(_words(column)) is not None


def _words(column: str) -> str:
    """``customerEmail2`` -> ``_customer_email_2_``."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", column)
    spaced = re.sub(r"(?<=[A-Za-z])(?=[0-9])", "_", spaced)
    return "_" + re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_") + "_"
