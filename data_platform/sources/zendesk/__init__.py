"""Zendesk Support: incremental exports and lists of the API v2, by ``sources/http`` and ``sources/records``."""
