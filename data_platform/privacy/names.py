"""Which columns look like secrets or personal data: by name, table, type and foreign keys, never by a value.

``discover``, ``validate`` and every sync use the same function, so they always agree. Its accuracy is measured on
columns of public schemas (``docs/catalog.md``).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

TEXT, NUMBER, TIME, BOOLEAN, DOCUMENT, BYTES, UUID = (
    "text", "number", "time", "boolean", "document", "bytes", "uuid",
)  # fmt: skip
_FAMILIES = {
    **dict.fromkeys("int2 int4 int8 numeric float4 float8 money".split(), NUMBER),
    **dict.fromkeys("date time timetz timestamp timestamptz interval".split(), TIME),
    **dict.fromkeys("json jsonb hstore xml".split(), DOCUMENT),
    "bool": BOOLEAN,
    "bytea": BYTES,
    "uuid": UUID,
}
"""Of PostgreSQL's types; any other is text: an enumeration, an address, a type of one's own."""

ANY_CONTENT = "a document that may hold anything"


@dataclass(frozen=True, slots=True)
class Class:
    """A kind of data that must be decided on; ``reason`` completes "looks like ...", ``families`` are the
    types its values can have."""

    reason: str
    pattern: re.Pattern[str]
    families: tuple[str, ...] = (TEXT,)
    table: re.Pattern[str] | None = None
    secret: bool = False


_PEOPLE = (
    "[a-z]*users?|[a-z]*profiles?|persons?|people|contacts?|customers?|clients?|employees?|staff|members?|patients?|doctors?|nurses?|physicians?"
    "|authors?|leads?|guests?|students?|teachers?|recipients?|drivers?|players?|candidates?|applicants?|subscribers?"
    "|participants?|attendees?|visitors?|passengers?|admins?|volunteers?|donors?|signers?|owners?|buyers?|sellers?|agents?|partners?|speakers?"
    "|mitglied|mitglieder|kunden?|mitarbeiter|angestellter?|angestellten|personen|autor|autoren|schueler|lehrer|benutzer"
    "|personas?|usuarios?|clientes?|empleados?|alumnos?|estudiantes?|profesores|pacientes?|contactos?|autores"
    "|utenti|utente|clienti|dipendenti|studenti|autori|padroni|pazienti|persone"
    "|utilisateurs?|personnes?|employes?|adherents?|salaries|etudiants?|eleves|artistes?|journaliers?|membres?"
    "|pessoas?|funcionarios?|alunos?|klanten|klant|medewerkers?|gebruikers?|klienci|klient|pracownicy|uzytkownicy"
)
_PERSON = (
    "customer|client|user|person|contact|employee|patient|member|guest|recipient|sender|holder|cardholder"
    "|owner|buyer|seller|driver|passenger|student|teacher|manager|agent|billing|shipping|delivery|legal|real"
    "|account_holder|beneficiary|spouse|mother|father|parent|child|kin|doctor|signer|author|attendee|applicant|candidate|reviewer|requester|assignee|subscriber|insured|policy_?holder"
    "|guardian|supervisor|participant|visitor|traveller|traveler|nominee|partner|donor|sponsor|creator|editor|receiver|consignee"
    "|payer|payee|nurse|physician|therapist|coach|player|speaker|organizer|reporter|approver|winner"
)
_OF_PEOPLE = re.compile(rf"_({_PEOPLE})(_(entity|entities|table|data|info|details|accounts?))?_$")
_OF_ADDRESSES = re.compile(
    rf"_(address|addresses|adresse|adressen|direcciones|indirizzi)_$|{_OF_PEOPLE.pattern}"
)
_OF_SECRETS = re.compile(
    r"_(tokens?|api_keys?|credentials?(_entity)?|secrets?|passwords?|second_factors?|(ci|env|environment)_variables?)_$"
)
_OF_SESSIONS = re.compile(r"^_((user|web|http|login|auth|django|app|active)_)*sessions?_$")
_OF_IDENTITIES = re.compile(r"_(identity|identities|(associated|social|linked|oauth)_accounts?)_$")
_OF_PATIENTS = re.compile(r"_(patients?|vitals?|encounters?|examinations?|measurements?)_$")
_NUMBERED = (TEXT, NUMBER)
_SECRET = (TEXT, BYTES, DOCUMENT, UUID)
_MADE_UP = (TEXT, NUMBER, UUID)
"""Of what numbers somebody without telling the name: a uuid is never a tax or a passport number."""


def _class(
    reason: str,
    *patterns: str,
    families: tuple[str, ...] = (TEXT,),
    table: re.Pattern[str] | None = None,
    secret: bool = False,
) -> Class:
    return Class(reason, re.compile("|".join(patterns)), families, table, secret)


def _secret(reason: str, *patterns: str, table: re.Pattern[str] | None = None) -> Class:
    return _class(reason, *patterns, families=_SECRET, table=table, secret=True)


_NO = r"(_?(no|nr|num|number|nummer|id|code))?"

_CLASSES: tuple[Class, ...] = (
    # ---- secrets, before what they are about: `email_token` is no email address
    _secret(
        "a password",
        r"passwor[dt]|passwd|passphrase|passcode|kennwort|contrasen[ay]|mot_de_passe|mot_passe|wachtwoord|_(haslo|losenord|sifre|parol)_",
        r"_(pwd|mdp|senha|parola)_|_pw(_(hash|salt|encrypted))?_$|_(user_?)?pass_$|_pass_(crypted|temp|hash|salt|encrypted)_",
    ),
    _secret("a salt", r"_(salt|nonce)_$"),
    _secret("a session", r"_(user_)?session_?(id|key|token|data|state|hash|identifier)_$|^_(sid|sess_?id)_$"),
    _secret("a session", r"^_(data|payload|key|token)_$", table=_OF_SESSIONS),
    _secret(
        "a token",
        r"[a-z]*tokens?_$|_tokens?_(hash|digest|value|secret|encrypted|current|new|old|data|key)_|_jwt_",
        r"_bearer_$|_magic_links?_$",
    ),
    _secret(
        "a secret",
        r"secrets?_|_encrypted_(?!e_?mail)|_(slack|discord|teams)_(incoming_)?webhook|_pepper_|_cookies?(_value)?_$|_csrf_",
    ),
    _secret(
        "a hash of a secret",
        r"(?<!message)(?<!content)(?<!file)(?<!body)(?<!variation)(?<!image)(?<!blob)(?<!ly)_digest_$",
    ),
    _secret(
        "a key",
        r"_(api|access|private|secret|encryption|signing|licen[cs]e|master|session|auth|activation|recovery|hmac|deploy"
        r"|service|confirmation|reset|webhook|server|client|invite|bounce|push)_?keys?_(?!id_)",
        r"_(api|access|private|secret)_?keys?_$|_key_(hash|p_?256_?dh|auth|secret|encrypted|material)_|_pem_$|_keystore_",
        r"_(mnemonic|seed_phrase|webauthn_id|passkey|connection_string|dsn|credentials?)_$|_credentials?_(data|value|json)_$",
        r"_ssh_keys?_$|_service_account_(json|info|file)_$",
        r"_(database|db|postgres|postgresql|mysql|mongo|mongodb|redis|amqp|jdbc|smtp|connection)_ur[il]s?_$",
    ),
    _secret(
        "a one-time code",
        r"_(otp|totp|mfa|two_?factor|2_fa)_(seed|code|codes|backup|recovery|key|backup_codes|hash)_|^_(otp|totp)_$",
        r"_(backup|recovery|scratch|verification|access|activation|confirmation|one_?time|invite|invitation|pairing|sms|auth"
        r"|authorization|login|unlock|security|device)_codes?_$|_security_answers?_|_pin(_?code|_hash|_number)?_$",
    ),
    _secret("a key", r"^_(key|value|hash|secret|data)_$", table=_OF_SECRETS),
    # ---- who a person is
    _class(
        "an email address",
        r"(?<!_g)e_?mails?_$|_(e_?mails?|e_?mail_?(address|addr|id)(es)?|correo|courriel)_",
        r"_mail_(address|addr)_|_mail_$|_(from|to|cc|bcc|reply_to)_address(es)?_$|_reply_to_$|_e_?mail_from_$",
    ),
    _class(
        "an IP address",
        r"_(ip|ips|ip_?addr(ess)?(es)?|ipv_?[46]|remote_(addr|address|ip|host)|ip_?[46]_?addr(ess)?|x_forwarded_for)_$",
        r"_ip_?(addr|address)_|^_ip[a-z]*login_|_(last|reg|login|client|user|remote)ip_$",
    ),
    _class(
        "a device or browser",
        r"_(user|http|browser|client|comment)_?agents?_|_(mac_?address|mac_addr|imei|imsi|idfa|gaid|advertising_id)_",
        r"_device_?(id|uuid|udid|identifier|serial|fingerprint|number)_$|_browser_(fingerprint|id)_|_fingerprint_(id|hash)_$",
        r"_(distinct|anonymous|visitor|installation)_id_$",
        families=_MADE_UP,
    ),
    _class(
        "a phone number",
        r"_(?!i_?phone|head|micro|smart|sax|ear|mega)[a-z]*(phones?|telefono?|telefones?|telefoon|telefon|telefax)(nummer|nr)?_(?!model|book|plan|code|prefix)",
        r"_(phone_?(no|nr|number)|tel|msisdn|fax|whatsapp|sms_number|celular(es)?|cellulare|movil|rufnummer|handynummer|gsm)_",
        r"_(mobile|cell|mobil|handy)(_(no|nr|num|number|perso|phone))?_$",
        families=_NUMBERED,
    ),
    _class("a phone number", r"^_(portable|natel)_$", families=_NUMBERED, table=_OF_PEOPLE),
    _class(
        "an insurance or health card number",
        r"_(insurance|medicare|medicaid|nhs|health_?card|medical_record|patient_record|versicherungs?|versicherten)_?(no|nr|num|number|nummer|id|policy|policy_number)_$",
        r"_policy_(no|nr|num|number)_$|_(mrn|npi|krankenkassen?(nummer|_nr)|numero_securite_sociale|secu_?sociale)_$",
        families=_NUMBERED,
    ),
    _class(
        "a social security number",
        r"_(ssn|ssns|ssn_?id|sin_?id|ss_number|social_?security(_?(no|nr|number))?|social_insurance(_number)?|national_insurance(_number)?|nino"
        r"|sozialversicherungs?(nummer|_?nr)|svnr|ahv(_?nr|nummer)?|nss)_",
        families=_NUMBERED,
    ),
    _class(
        "a passport number",
        rf"_(passports?|pasaporte|passeport|reisepass|passnummer){_NO}_$",
        families=_NUMBERED,
    ),
    _class(
        "a driving licence number",
        r"_(driv(er|ers|ing)_?(licen[cs]e)|fuehrerschein|patente_guida)_",
        families=_NUMBERED,
    ),
    _class(
        "a national identity number",
        r"_(national|citizen|personal|identity|government|nric)_(id|ident|no|nr|num|number|code|card)_",
        r"_(id_card|identity_card|id_number|aadhaar|aadhar|cpf|curp|dni|nif|nie|bsn|pesel|personnummer|personalausweis(nr|nummer)?"
        r"|ausweis(nr|nummer)?|codice_fiscale|fiscal_code|cedula|rut|rfc|cin|cnic|nik|numero_(piece_)?identite"
        r"|identification_(id|no|nr|number)|(visa|permit|residence_permit)_(no|nr|number)|rg|num(ero)?_doc(_id|umento)?|numero_identificacion|carta_identita)_",
        families=_NUMBERED,
    ),
    _class(
        "a national identity number",
        r"^_(documento|matricule|identifier|document_number|id_?number)_$",
        families=_NUMBERED,
        table=_OF_PEOPLE,
    ),
    _class(
        "a tax number",
        r"_(tax_?(id|number|payer_id|code|ident\w*|identification_number)|tin|itin|steuer_?(id|nummer|nr)|steuerliche_\w+)_$",
        families=_NUMBERED,
    ),
    _class(
        "a date of birth or death",
        r"_(date_of_birth|dateofbirth|birth_?(date|day|year|month|place)|birth|born(_(on|at|in))?|dob|geburts?(datum|tag|ort|jahr|name)?)_",
        r"_(geboortedatum|fodelsedatum|data_urodzenia|fecha_nac\w*|nacimiento|data_nascita|nascita|(date|lieu)_(de_)?naissance|naissance|(data_)?nascimento)_",
        r"_(date_of_death|deathdate|death_date|deceased(_at|_on|_date)?|todesdatum)_",
        families=(TEXT, NUMBER, TIME),
    ),
    _class(
        "a bank account",
        r"_(iban|bank_?account|acc(ount)?_(no|nr|number)|routing_number|sort_code|konto(nummer|nr|inhaber)|cuenta_bancaria|clabe)_",
        families=_NUMBERED,
    ),
    _class(
        "a payment card",
        r"_((credit|debit|payment)_?card|card_?(no|nr|num|number)|cc_?(no|num|number)|cvv|cvc|cvv_?2|kreditkarten?(nummer|nr)?)_",
        r"_(card_?)?last_?(4|four|digits|four_digits|4_digits)_$|^_pan_$",
        families=_NUMBERED,
    ),
    _class(
        "a person's name",
        r"_(first|last|middle|full|given|family|maiden|sur|fore|christian|birth|preferred|nick)_?names?_?(phonetic)?_",
        r"_(voornaam|achternaam|tussenvoegsel|imie|nazwisko|fornamn|efternamn|etternavn|fornavn|soyad|familiya|otchestvo)_",
        r"_emergency_contact_$",
        r"_(fname|lname|surnames?|vornamen?|nachnamen?|familiennamen?|rufname|prenoms?|apellidos?|sobrenome|cognome|apodo|nome_completo"
        r"|nombre_completo|nom_complet|nom_famille|ap(ellido)?_(paterno|materno)|(card|account)_?holder)_",
        rf"_({_PERSON})_?(full_?|display_?|nice_?|complete_?)?names?_$",
        r"_(user_?name|login_name|screen_name|nicename|acct|comment_author|also_known_as|primer_nombre|segundo_nombre)_$|^_display_?name_$",
        r"_(?<!last_)(?<!first_)(?<!previous_)login_$",
    ),
    _class(
        "a person's name",
        r"^_([a-z]_)?(names?|nom|nome|nombres?|pseudo|pseudonym|alias|nick|handle|(short|complete|alternate)_?name)(_[0-9])?_$",
        table=_OF_PEOPLE,
    ),
    _class(
        "an online account",
        r"_(skype|twitter|facebook|linkedin|instagram|snapchat|telegram|wechat|icq|github|discord|tiktok|jabber|google_?plus"
        r"|social_?networks?|openid|apple|google|oauth|social)(_?(id|uid|handle|user|user_?name|profile|profile_url|url|account|sub))_$",
        r"_(skype|twitter|facebook|linkedin|instagram|snapchat|telegram|wechat|icq|jabberid|google_?plus|social_?networks?|openid)_$",
        r"_(provider_account_id|identity_provider_id|provider_(uid|user_id)|ldap_(dn|sid)|external_user_id|extern_uid)_$",
        families=(TEXT, UUID),
    ),
    _class(
        "an online account", r"^_(provider_(account_)?id|uid|external_id|subject|sub)_$", table=_OF_IDENTITIES
    ),
    _class(
        "a picture of a person",
        r"_avatar(_(remote_)?(url|uri|file_?name|path|image|key))?_$|_(profile|user)_?(picture|photo|image|pic)(_url|_path)?_$",
        r"_(selfie|headshot|mugshot|portrait|foto_perfil|photo_profil)(_url|_path)?_$",
        families=(TEXT, BYTES),
    ),
    _class(
        "a picture of a person",
        r"^_(photo|foto|picture|image|bild|imagen)(_(url|path|file_?name))?_$",
        families=(TEXT, BYTES),
        table=_OF_PEOPLE,
    ),
    _class(
        "a curriculum vitae",
        r"_(resume|cv|lebenslauf|cover_letter)(_(url|path|text|file|file_?name))?_$",
        families=(TEXT, BYTES),
    ),
    _class("a signature", r"_signature_$|_signature_(image|data)|_typed_signature_", families=(TEXT, BYTES)),
    # ---- where and what a person is
    _class(
        "a postal address",
        r"_(?<!imap_)(?<!smtp_)(?<!server_)(?<!contract_)(?<!wallet_)(?<!web_)(?<!memory_)(address|addresses|addr|adresse|anschrift"
        r"|direccion|domicilio|domicile|indirizzo|endereco|bairro|ulica|straatnaam|street|street_?(name|address|number|no)|strasse|calle|hausnummer|haus_?nr"
        r"|house_?(no|number)|apartment)(_?(line)?_?[0-9])?_$",
        r"_(address_?line|addressline)_?[0-9]?_|_(street_)?address_?[0-9]_|_(home|billing|shipping|postal|mailing|residential|street)_address",
        families=_NUMBERED,
    ),
    _class(
        "part of a postal address",
        r"_(postal_?code|post_?code|zip|zip_?code|plz|postleitzahl|code_postal|codigo_postal|cep|pin_?code)_$",
        families=_NUMBERED,
    ),
    _class("part of a postal address", r"^_(cap|cp)_$", families=_NUMBERED, table=_OF_ADDRESSES),
    _class(
        "where a person is",
        r"^_(latitude|longitude|lat|lng|lon|long|geo_?location|coordinates|home_(lat|lng|lon))_$",
        families=_NUMBERED,
        table=_OF_ADDRESSES,
    ),
    _class("where a person is", r"^_(location|residence|wohnort|hometown)_$", table=_OF_PEOPLE),
    _class(
        "where a person is",
        r"_coordinates_?(lat|lng|lon|long)_$|_(user|device|last_known|partner|customer|home)_(lat|lng|lon|latitude|longitude|location)_$",
        families=_NUMBERED,
    ),
    _class(
        "a personal trait",
        r"_(gender|sex|ethnicity|ethnic_group|race|religion|nationality|citizenship|marital(_status)?|veteran(_status)?|immigration_status|sexual_orientation|caste"
        r"|geschlecht|anrede|familienstand|konfession|staatsangehoerigkeit|civilit[ye]|salutation|nationalite|etat_civil|sexe"
        r"|sexo|genero|nacionalidad|estado_civil|sesso|nazionalita|political_(party|affiliation|opinion))_$",
        families=(TEXT, NUMBER, BOOLEAN),
    ),
    _class("a personal trait", r"^_genre_$", table=_OF_PEOPLE),
    _class(
        "a personal trait", r"^_(children|number_of_children|kids)_$", families=_NUMBERED, table=_OF_PEOPLE
    ),
    _class(
        "health data",
        r"^_(weight|height|bmi|temperature)(_(kg|cm|lbs?|in|m))?_$",
        families=_NUMBERED,
        table=_OF_PATIENTS,
    ),
    _class(
        "health data",
        r"_(diagnos[ei]s(_codes?)?|heart_rate|lab_results?|diagnostic_code|icd_?(9|10)?(_?codes?)?|allerg(y|ies)|alergias?|allergien?|medications?|disease"
        r"|illness|symptoms?|blood_?(type|group|pressure|sugar)(_(systolic|diastolic))?|tipo_sangre|gruppo_sanguigno|blutgruppe|prescriptions?|vaccin(e|es|ation|ations)"
        r"|immunizations?|disabilit(y|ies)(_status)?|smoking_status|vaccination_status|handicap|hiv(_status)?|pregnan(t|cy)|smoker|mental_health|medical_(history|notes?|condition|conditions|record)"
        r"|health_(condition|conditions|issues|notes|history|record)|krankheit(en)?)_$",
        families=(TEXT, NUMBER, BOOLEAN),
    ),
    _class(
        "what a person earns or owes",
        r"_(salary|salaries|salaire|gehalt|salario|stipendio|wages?|stundenlohn|hourly_wage|(gross|net|base|hourly)_pay|(annual|monthly|household)_income|credit_score|net_worth)_$",
        families=_NUMBERED,
    ),
    # ---- what people wrote
    _class(
        "free text",
        r"_(notes?|notiz(en)?|notas?|remarks?|bemerkung(en)?|memo|comments?|comentarios?|commentaires?|kommentare?|observaciones|bio|biograph(y|ie)"
        r"|biografi[ea]|about_me|feedback|testimonial|transcript|complaint|mensaje|nachricht|narration|opmerking(en)?|uwagi)(_(private|public|internal|text|body|content|html"
        r"|message|raw|cooked|plain))?_$",
        r"_(?<!error_)(?<!status_)(?<!log_)(?<!commit_)(?<!system_)(?<!welcome_)(?<!success_)(?<!default_)messages?_$",
        r"_(message|reply|review|post|email|chat|answer|custom|comment|note|mail|rendered)_(text|body|content|html)_$|^_(body|content|text|answer|reply|raw|cooked)_$",
        r"_body_(text|html|plain|raw)_$|_(special|delivery|customer|gift)_(instructions?|requests?|message|note)_$|^_reason_$|[a-z]grund_$",
    ),
    _class("free text", r"^_(description|about|summary|headline|intro|introduction)_$", table=_OF_PEOPLE),
)

_ABOUT_IT = re.compile(
    # a flag, a count, a time or a reference about such a value, not the value itself
    r"^_(is|has|had|can|should|wants|allow|allows|accepts|num|count|n|total|requires?|hide|show|max|min|prompt|completion|input|output)_"
    r"|_(count|counts|verified|verification|confirmed|confirmation|valid|validated|validity|enabled|disabled|sent"
    r"|opened|clicked|bounced|delivered|status|state|type|types|kind|format|template|campaign|subject|opt_?in|opt_?out"
    r"|optin|optout|consent|subscribed|unsubscribed|notifications?|preference|preferences|frequency|length|limit|limits|used|usage"
    r"|changed|updated|attempts|provider|domain|required|uuid|guid|fk|at|ts|timestamp|policy|version|expiry|expires|expires_in"
    r"|encoding|algorithm|prefix|symbol|size|hint|label|url_env)_$"
)
_REFERENCE = re.compile(
    r"_(address|addr|e_?mail|mail|phone|telephone|mobile|bank_?account|card|name|template|campaign|token|secret|key|comment|message|note"
    r"|session_token|credential)_(id|sk|ref)_$"
)
_NOT_ABOUT_IT = re.compile(
    r"_session_state_$|_blood_?type_$|_etat_civil_$|_(marital|hiv|veteran|disability|immigration|smoking|vaccination)_status_$|_sms_verification_code_$"
)
_NETWORK = re.compile(r"_(network|networks|subnet|gateway|netmask|range|cidr|server|host|dns|broadcast)_")
_EMAIL = re.compile(r"_(e_?mails?|e_?mail_?(address|addr)(es)?|mail|mail_(address|addr))_")


def looks_personal(column: str, *, table: str = "", type_: str | None = None) -> str | None:
    """What a column looks like (``"an email address"``, ``"a token"``), or None.

    ``type_`` is PostgreSQL's name of its base type, an array's element; without one any type is
    possible. A flag, a count or a time about such a value (``email_verified``, ``token_limit``) is not the
    value; ``name`` names anything but in a table of people.
    """
    found = _recognise(column, table, type_)
    return found.reason if found else None


def is_secret(reason: str) -> bool:
    """Whether what ``looks_personal`` answered is a credential: of no use in a warehouse."""
    return reason in _SECRET_REASONS


def of_column(column: str, table: str, type_: str | None, refers: tuple[str, str] | None) -> str | None:
    """``looks_personal`` of a column at the source; a foreign key holds what the column of the table it ``refers``
    to does, whatever its own name is."""
    of_table, name = refers or (table, column)
    return looks_personal(name, table=of_table, type_=type_)


def of_name(column: str, table: str) -> str | None:
    """``looks_personal`` where no type is known. A name that ends in ``id`` is most often a reference, which
    the database will tell."""
    return None if _words(column).endswith("_id_") else looks_personal(column, table=table)


def is_email(column: str) -> bool:
    """Whether the values of a column of this name are e-mail addresses (trimmed and lower-cased
    before they are hashed)."""
    return "email" in column.lower() or _EMAIL.search(_words(column)) is not None


def _recognise(column: str, table: str, type_: str | None) -> Class | None:
    words, of_table = _words(column), _words(table) if table else "_"
    family = None if type_ is None else _FAMILIES.get(type_, TEXT)
    if type_ in ("inet", "macaddr", "macaddr8") and not _NETWORK.search(words):
        return _BY_TYPE[type_]
    if (
        family == NUMBER
        and words.endswith(("_id_", "_count_"))
        and not words.startswith(("_national_", "_citizen_"))
    ):
        return None
    for one in _matching(words, family):
        if one.table is None or one.table.search(of_table):
            return one
    return _DOCUMENT if family == DOCUMENT else None


@lru_cache(maxsize=4096)
def _matching(words: str, family: str | None) -> tuple[Class, ...]:
    """The classes that a column of this name is of, whatever its table. A company's columns have the same names
    again and again."""
    if _is_about(words):
        return ()
    known = (c for c in _CLASSES if family is None or family in c.families)
    return tuple(one for one in known if one.pattern.search(words))


def _is_about(words: str) -> bool:
    if _NOT_ABOUT_IT.search(words):
        return False
    born = re.search(r"_(born|deceased)_", words)
    return bool((_ABOUT_IT.search(words) and not born) or _REFERENCE.search(words))


_DOCUMENT = Class(ANY_CONTENT, re.compile(""), (DOCUMENT,))
_BY_TYPE = {
    "inet": Class("an IP address", re.compile("")),
    "macaddr": Class("a device or browser", re.compile("")),
    "macaddr8": Class("a device or browser", re.compile("")),
}
_SECRET_REASONS = frozenset(one.reason for one in _CLASSES if one.secret)


@lru_cache(maxsize=4096)  # most tables have an `id`, a `status`, a `created_at`
def _words(column: str) -> str:
    """``customerEmail2`` -> ``_customer_email_2_``; accents are left out."""
    plain = unicodedata.normalize("NFKD", column.replace("ß", "ss"))
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", plain)
    spaced = re.sub(r"(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])", "_", spaced)
    return "_" + re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_") + "_"
