"""Servers that tests share: object stores, a proxy that breaks things, PgBouncer and a load balancer.

All listen on loopback only and end with the process that started them.
"""
