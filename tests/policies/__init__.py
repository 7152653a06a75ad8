"""Random tables, policies and changes, and what Postgres shows of them, for the comparison in test_policies.py."""
