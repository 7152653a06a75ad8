"""Check that faults lose nothing: writers, one fault after another, and a checker that compares.

``python -m tests.chaos --minutes 10`` runs it; docs/reliability.md describes it and its results. It sees the product
only from outside: processes, HTTP streams, PostgreSQL and Redis.
"""
