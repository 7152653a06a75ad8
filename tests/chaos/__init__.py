"""The proof that nothing is lost: a load, one fault after another, and a checker that compares.

``python -m tests.chaos --minutes 10`` runs it; docs/reliability.md says what it does and what it found. It looks at the
product from outside only: processes, HTTP streams, PostgreSQL and Redis.
"""
