"""Zendesk Support on loopback: tickets of the shop's customers about the shop's orders."""
